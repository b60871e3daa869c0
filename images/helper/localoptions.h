/* How the SSH server of the tools image is built. What is not here is as dropbear's
 * default_options.h has it. */

/* One way in: the key in SSH_PUBLIC_KEY, which is an ed25519 key. */
#define DROPBEAR_SVR_PASSWORD_AUTH 0
#define DROPBEAR_SVR_PUBKEY_OPTIONS 0
#define DROPBEAR_RSA 0
#define DROPBEAR_ECDSA 0
#define DROPBEAR_SK_KEYS 0

/* Sessions, and nothing else. */
#define DROPBEAR_SVR_LOCALTCPFWD 0
#define DROPBEAR_SVR_REMOTETCPFWD 0
#define DROPBEAR_SVR_LOCALSTREAMFWD 0
#define DROPBEAR_SVR_AGENTFWD 0
#define DROPBEAR_SFTPSERVER 0
#define INETD_MODE 0
#define DO_MOTD 0
#define DROPBEAR_PIDFILE ""

/* The host key is in the listening process's memory only, so connections have to be its forks. */
#define DROPBEAR_REEXEC 0
#define DROPBEAR_DELAY_HOSTKEY 0
/* There is one user, that of the container: nobody to switch to. */
#define DROPBEAR_SVR_DROP_PRIVS 0

/* Key exchange: what current OpenSSH clients prefer, and curve25519 for older ones. */
#define DROPBEAR_DH_GROUP14_SHA256 0
#define DROPBEAR_ECDH 0
#define DROPBEAR_ENABLE_GCM_MODE 1

/* Speed before size: scripts of megabytes go in, logs of many megabytes come out. */
#define DROPBEAR_SMALL_CODE 0
#define DEFAULT_RECV_WINDOW 1048576
#define TRANS_MAX_PAYLOAD_LEN 32768

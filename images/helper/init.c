/* The first process of a job's container, and under the name `inject` the one that brings it there.
 *
 *   init --port PORT [--umask MODE] [--hosts ALIAS,ALIAS…]
 *       serves SSH with the `sshd` beside it, reaps what the job leaves behind, and ends
 *       - on SIGTERM, and where it comes from outside the container on any other signal that an
 *         image's STOPSIGNAL may name: no new connections are taken, running sessions go on until
 *         the container is killed, and without any it ends at once (143); its name,
 *         /proc/1/comm, is "ending" then;
 *       - after FARGATE_MAX_LIFETIME seconds, with everything that runs (124);
 *       - when the SSH server has ended (70). A setting that can't be used: 64.
 *       SSH_PUBLIC_KEY holds the one key that is let in, FARGATE_LISTEN_ADDRESS the address to
 *       listen on (unset: all of them).
 *
 *   inject TARGET DIRECTORY…
 *       copies the tools to TARGET, where everybody may run them, and lets everybody write to the
 *       directories.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { UNUSABLE = 64, SERVER_ENDED = 70, TIME_IS_UP = 124, TERMINATED = 128 + SIGTERM };
enum { MOST_PROCESSES = 4096, LONGEST_HOSTS = 65536 };

#define KEY_TYPE "ssh-ed25519 "
/* RFC 8709: an ed25519 key's blob is 51 bytes, and this is what its length and type encode to. */
#define KEY_START "AAAAC3NzaC1lZDI1NTE5AAAAI"
#define KEY_LENGTH 68

struct process {
    pid_t pid, parent;
    int connection; /* one of the SSH server's processes, named like it */
    int ours;       /* descends from this process */
};

static char directory[PATH_MAX]; /* where this program lies, without a slash at the end */

static void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("fargate: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

static void fail(const char *what)
{
    say("%s: %s", what, strerror(errno));
    exit(UNUSABLE);
}

static void find_directory(void)
{
    ssize_t length = readlink("/proc/self/exe", directory, sizeof directory - 1);
    if (length < 0)
        fail("/proc/self/exe");
    directory[length] = '\0';
    *strrchr(directory, '/') = '\0';
}

static void check_key(const char *key)
{
    const char *reason = NULL;
    if (key == NULL || *key == '\0')
        reason = "is not set";
    else if (strpbrk(key, "\r\n"))
        reason = "has more than one line";
    else if (strncmp(key, KEY_TYPE KEY_START, strlen(KEY_TYPE KEY_START)) != 0)
        reason = "does not begin with " KEY_TYPE KEY_START;
    if (reason == NULL) {
        const char *blob = key + strlen(KEY_TYPE);
        size_t length = 0;
        while (isalnum((unsigned char)blob[length]) || blob[length] == '+' || blob[length] == '/')
            length++;
        if (length != KEY_LENGTH || (blob[length] != '\0' && blob[length] != ' '))
            reason = "holds no whole ed25519 key";
    }
    if (reason) {
        say("SSH_PUBLIC_KEY %s: it has to be one line \"ssh-ed25519 AAAA… comment\","
            " as gitlab-fargate-driver sets it", reason);
        exit(UNUSABLE);
    }
}

/* Seconds until the end; 0 for none. */
static time_t lifetime(const char *value)
{
    char *end;
    long seconds;
    if (value == NULL || *value == '\0')
        return 0;
    seconds = strtol(value, &end, 10);
    if (!isdigit((unsigned char)*value) || *end != '\0' || seconds < 1 || seconds > INT_MAX) {
        say("FARGATE_MAX_LIFETIME=%s is no number of seconds from 1 to %d", value, INT_MAX);
        exit(UNUSABLE);
    }
    return seconds;
}

/* The containers of a task share one network, so every service is at 127.0.0.1. A line for each: musl
 * reads no more than 511 bytes of one. They may share this file as well: what is there stays alone. */
static void name_hosts(char *aliases)
{
    static char found[LONGEST_HOSTS], text[LONGEST_HOSTS / 2];
    size_t used = 0;
    ssize_t length;
    int file;
    for (const char *c = aliases; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-._,", *c)) {
            say("--hosts: %c can't be part of a host name", *c);
            exit(UNUSABLE);
        }
    file = open("/etc/hosts", O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    length = file < 0 ? -1 : read(file, found, sizeof found - 1);
    if (length > 0 && found[length - 1] != '\n')
        text[used++] = '\n';
    for (char *alias = strtok(aliases, ","); alias; alias = strtok(NULL, ",")) {
        char *line = text + used;
        size_t room = sizeof text - used;
        if (snprintf(line, room, "127.0.0.1\t%s\n", alias) >= (int)room) {
            say("--hosts: more than %zu characters", sizeof text);
            exit(UNUSABLE);
        }
        if (strstr(found, line) == NULL)
            used += strlen(line);
    }
    if (length < 0 || write(file, text, used) != (ssize_t)used)
        say("/etc/hosts can't be written (%s): services are reached at 127.0.0.1, not by name",
            strerror(errno));
    if (file >= 0)
        close(file);
}

static pid_t start_server(const char *port, const sigset_t *signals)
{
    const char *address = getenv("FARGATE_LISTEN_ADDRESS");
    char program[PATH_MAX + 8], place[256];
    pid_t pid;
    snprintf(program, sizeof program, "%s/sshd", directory);
    if (snprintf(place, sizeof place, "%s%s%s", address && *address ? address : "",
                 address && *address ? ":" : "", port) >= (int)sizeof place) {
        say("FARGATE_LISTEN_ADDRESS is too long for an address");
        exit(UNUSABLE);
    }
    pid = fork();
    if (pid < 0)
        fail("fork");
    if (pid == 0) {
        sigprocmask(SIG_UNBLOCK, signals, NULL);
        /* What it says belongs to the container's log, beside that of other programs. */
        dup2(STDOUT_FILENO, STDERR_FILENO);
        /* In the foreground, and sessions get the whole environment. */
        execl(program, "sshd", "-F", "-e", "-p", place, (char *)NULL);
        say("%s: %s", program, strerror(errno));
        _exit(UNUSABLE);
    }
    return pid;
}

/* All living processes that can be seen, and which of them are ours. */
static int look(struct process *all)
{
    char path[64], text[512];
    struct dirent *entry;
    int count = 0, grown = 1;
    DIR *proc = opendir("/proc");
    if (proc == NULL)
        return 0;
    while (count < MOST_PROCESSES && (entry = readdir(proc)) != NULL) {
        struct process *p = &all[count];
        char *after, state;
        ssize_t length;
        int file;
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        snprintf(path, sizeof path, "/proc/%.20s/stat", entry->d_name);
        file = open(path, O_RDONLY | O_CLOEXEC);
        length = file < 0 ? -1 : read(file, text, sizeof text - 1);
        if (file >= 0)
            close(file);
        if (length <= 0)
            continue;
        text[length] = '\0';
        /* PID (NAME) STATE PPID …: the name may hold anything, proc_pid_stat(5) */
        after = strrchr(text, ')');
        if (after == NULL || sscanf(after + 1, " %c %d", &state, &p->parent) != 2 || state == 'Z')
            continue;
        p->pid = atoi(entry->d_name);
        p->connection = strstr(text, "(sshd)") != NULL;
        p->ours = p->parent == getpid();
        count++;
    }
    closedir(proc);
    while (grown) {
        grown = 0;
        for (int i = 0; i < count; i++)
            for (int j = 0; j < count && !all[i].ours; j++)
                if (all[j].ours && all[i].parent == all[j].pid)
                    all[i].ours = grown = 1;
    }
    return count;
}

/* Whether a command of the driver's runs: the child of a connection. */
static int session_runs(void)
{
    static struct process all[MOST_PROCESSES];
    int count = look(all);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < count; j++)
            if (all[j].connection && all[j].parent == getpid() && all[i].parent == all[j].pid)
                return 1;
    return 0;
}

/* By parentage, not by kill(-1): without a PID namespace that would be the whole machine. */
static int signal_all(int number)
{
    static struct process all[MOST_PROCESSES];
    int count = look(all), sent = 0;
    for (int i = 0; i < count; i++)
        if (all[i].ours && kill(all[i].pid, number) == 0)
            sent++;
    return sent;
}

static void reap(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

static void end_everything(void)
{
    const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    int left = signal_all(SIGTERM);
    for (int tries = 0; left && tries < 200; tries++) {
        nanosleep(&pause, NULL);
        reap();
        left = signal_all(tries < 40 ? 0 : SIGKILL); /* 2 s to end by itself */
    }
}

/* Whether a signal tells the container to end. The kernel keeps signals that the first process does
 * not handle from it where they come from within its PID namespace, but not those that it waits for;
 * a sender outside has no pid in it (pid_namespaces(7)). SIGTERM may come from the job, too. */
static int is_order(int number, const siginfo_t *found)
{
    return number == SIGTERM || (number != SIGCHLD && found->si_pid == 0);
}

/* Returns the exit code. */
static int keep(pid_t server, const sigset_t *signals, time_t seconds)
{
    struct timespec now, end;
    int ending = 0;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += seconds;
    for (;;) {
        struct timespec timeout = {.tv_sec = 3600};
        siginfo_t found = {0};
        int status = 0, number;
        pid_t pid;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (seconds && now.tv_sec >= end.tv_sec) {
            say("FARGATE_MAX_LIFETIME of %ld s is over: ending everything", (long)seconds);
            return TIME_IS_UP;
        }
        if (ending)
            timeout = (struct timespec){.tv_nsec = 200 * 1000 * 1000};
        else if (seconds && end.tv_sec - now.tv_sec < timeout.tv_sec)
            timeout.tv_sec = end.tv_sec - now.tv_sec;
        number = sigtimedwait(signals, &found, &timeout);
        if (number > 0 && !ending && is_order(number, &found)) {
            ending = 1;
            prctl(PR_SET_NAME, "ending");
            say("told to end: no new connections, running sessions go on");
            /* The one that listens: connections are processes of their own, and come to this one. */
            kill(server, SIGKILL);
            waitpid(server, NULL, 0);
        }
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
            if (pid == server) {
                say("the SSH server ended (%s %d)", WIFSIGNALED(status) ? "signal" : "exit status",
                    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
                return SERVER_ENDED;
            }
        }
        if (ending && !session_runs())
            return TERMINATED;
    }
}

/* Never called: shows in /proc/PID/status, unlike sigtimedwait, that the signal is waited for. */
static void heed(int number)
{
    (void)number;
}

static int init(int argc, char **argv)
{
    /* The image's STOPSIGNAL is sent in place of SIGTERM: httpd has SIGWINCH, nginx SIGQUIT, systemd
     * SIGRTMIN+3, which is 37 to container runtimes, and not to musl. A signal that the first process
     * of a container does not wait for is kept from it by the kernel. */
    const int stops[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGPWR, 37};
    const char *port = NULL, *mode = NULL;
    char *hosts = NULL;
    sigset_t signals;
    time_t seconds;
    int code;
    /* First of all, so that none is lost. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++)
        sigaddset(&signals, stops[i]);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++)
        signal(stops[i], heed);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--port") == 0 && i + 1 < argc)
            port = argv[++i];
        else if (strcmp(argv[i], "--umask") == 0 && i + 1 < argc)
            mode = argv[++i];
        else if (strcmp(argv[i], "--hosts") == 0 && i + 1 < argc)
            hosts = argv[++i];
        else {
            say("unexpected argument %s: init --port PORT [--umask MODE]"
                " [--hosts ALIAS,ALIAS…]", argv[i]);
            return UNUSABLE;
        }
    }
    if (port == NULL || *port == '\0' || strlen(port) > 5 || port[strspn(port, "0123456789")]
        || atoi(port) < 1 || atoi(port) > 65535) {
        say("--port has to be a number from 1 to 65535");
        return UNUSABLE;
    }
    if (mode && (*mode == '\0' || strlen(mode) > 4 || mode[strspn(mode, "01234567")]
                 || strtol(mode, NULL, 8) > 0777)) {
        say("--umask has to be octal, from 0 to 0777");
        return UNUSABLE;
    }
    check_key(getenv("SSH_PUBLIC_KEY"));
    seconds = lifetime(getenv("FARGATE_MAX_LIFETIME"));
    if (hosts && *hosts)
        name_hosts(hosts);
    if (mode)
        umask(strtol(mode, NULL, 8));
    /* Where this is not PID 1, orphans come here all the same. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    code = keep(start_server(port, &signals), &signals, seconds);
    end_everything();
    return code;
}

static void copy(const char *name, const char *target)
{
    char from[2 * PATH_MAX], to[2 * PATH_MAX], temporary[2 * PATH_MAX], buffer[65536];
    struct stat found;
    ssize_t length;
    snprintf(from, sizeof from, "%s/%s", directory, name);
    snprintf(to, sizeof to, "%s/%s", target, name);
    snprintf(temporary, sizeof temporary, "%s/.%s.new", target, name);
    if (lstat(from, &found) < 0)
        fail(from);
    unlink(temporary);
    if (S_ISLNK(found.st_mode)) {
        length = readlink(from, buffer, sizeof buffer - 1);
        if (length < 0)
            fail(from);
        buffer[length] = '\0';
        if (symlink(buffer, temporary) < 0)
            fail(temporary);
    } else if (S_ISREG(found.st_mode)) {
        int in = open(from, O_RDONLY | O_CLOEXEC);
        int out = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
        if (in < 0)
            fail(from);
        if (out < 0)
            fail(temporary);
        while ((length = read(in, buffer, sizeof buffer)) > 0)
            if (write(out, buffer, length) != length)
                fail(temporary);
        if (length < 0)
            fail(from);
        if (fchmod(out, 0755) < 0 || close(out) < 0)
            fail(temporary);
        close(in);
    } else
        return;
    if (rename(temporary, to) < 0)
        fail(to);
}

static void open_to_all(const char *path, mode_t mode)
{
    if ((mkdir(path, mode) < 0 && errno != EEXIST) || chmod(path, mode) < 0)
        fail(path);
}

static int inject(int argc, char **argv)
{
    struct dirent *entry;
    DIR *tools;
    if (argc < 2) {
        say("inject TARGET DIRECTORY…");
        return UNUSABLE;
    }
    open_to_all(argv[1], 0755);
    tools = opendir(directory);
    if (tools == NULL)
        fail(directory);
    while ((entry = readdir(tools)) != NULL)
        if (entry->d_name[0] != '.')
            copy(entry->d_name, argv[1]);
    closedir(tools);
    for (int i = 2; i < argc; i++)
        open_to_all(argv[i], 0777);
    return 0;
}

int main(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    find_directory();
    if (argc > 0 && strcmp(slash ? slash + 1 : argv[0], "inject") == 0)
        return inject(argc, argv);
    return init(argc, argv);
}

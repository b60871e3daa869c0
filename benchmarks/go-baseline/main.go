// What a driver in Go does for one stage: a new SSH connection with the host key unchecked, and the
// whole script as the command. Usage: go-baseline USER@HOST:PORT KEY SCRIPT
package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func run(destination, keyFile, scriptFile string) error {
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	script, err := os.ReadFile(scriptFile)
	if err != nil {
		return err
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		return err
	}
	user, address, _ := strings.Cut(destination, "@")
	client, err := ssh.Dial("tcp", address, &ssh.ClientConfig{
		User:            user,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return err
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	session.Stdout, session.Stderr = os.Stdout, os.Stderr
	return session.Run(string(script))
}

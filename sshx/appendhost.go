package sshx

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// appendKnownHost adds a line to a known_hosts file, never changing what is
// there: under a lock, whole, on disk when it returns. A line that somebody
// else of us has just written is not written again.
func appendKnownHost(ctx context.Context, file, name string, hashed bool, key ssh.PublicKey) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() // and with it the lock
	if err := lockSoon(ctx, f); err != nil {
		return fmt.Errorf("lock it: %w", err)
	}
	if known, err := readKnownHosts([]string{file}, name); err == nil && known.find("", key) {
		return nil
	}
	return writeLine(f, hostLine(name, hashed, key))
}

// lockSoon waits for the lock until ctx ends.
func lockSoon(ctx context.Context, f *os.File) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := tryLock(f)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

func hostLine(name string, hashed bool, key ssh.PublicKey) string {
	if hashed {
		name = knownhosts.HashHostname(name)
	}
	return name + " " + key.Type() + " " + base64.StdEncoding.EncodeToString(key.Marshal()) + "\n"
}

// writeLine appends in one write, after ending a last line that has no end.
func writeLine(f *os.File, line string) error {
	if end, err := f.Seek(0, 2); err == nil && end > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, end-1); err == nil && last[0] != '\n' {
			line = "\n" + line
		}
	}
	if _, err := f.WriteString(line); err != nil {
		return err
	}
	return f.Sync()
}

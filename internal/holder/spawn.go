package holder

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// Command is the hidden command of the program that is a holder.
const Command = "holder"

// Ensure gives the holder of the spec's target: the running one, or a new one,
// detached from birth. It does not wait for the line.
func Ensure(ctx context.Context, spec Spec) (*Client, error) {
	c := ByKey(spec.Place, spec.Target.Key())
	if c.alive() {
		return c, nil
	}
	// One starts it, the others wait: fifty commands make one holder.
	lock := flock.New(spec.Place.path(spec.Target.Key() + ".start"))
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if _, err := lock.TryLockContext(ctx, 5*time.Millisecond); err != nil {
		return nil, fmt.Errorf("wait for another start of it: %w", err)
	}
	defer lock.Unlock()
	if c.alive() {
		return c, nil
	}
	if err := spawn(ctx, spec); err != nil {
		return nil, err
	}
	if !c.alive() {
		return nil, ErrNone
	}
	return c, nil
}

// LogPath is where the holder of a target writes what it does.
func LogPath(place Place, key string) string {
	return filepath.Join(place.State, "log", key+".log")
}

// LogPath is where the client's holder writes what it does.
func (c *Client) LogPath(place Place) string {
	return LogPath(place, strings.TrimSuffix(filepath.Base(c.Sock), ".sock"))
}

// spawn starts the background process and returns when it listens. Its stdin
// is closed after the spec, its stdout says "ready" and is closed, its stderr
// is its log: nothing of the caller's stays open in it.
func spawn(ctx context.Context, spec Spec) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	logFile, err := openLog(LogPath(spec.Place, spec.Target.Key()))
	if err != nil {
		return err
	}
	defer logFile.Close()
	cmd := exec.Command(program, Command)
	cmd.Stdin, cmd.Stderr, cmd.Dir = bytes.NewReader(raw), logFile, string(filepath.Separator)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the background process: %w", err)
	}
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		said <- strings.TrimSpace(line)
	}()
	select {
	case line := <-said:
		if line == "ready" || line == "taken" {
			go cmd.Wait()
			return nil
		}
		cmd.Wait()
		if line == "" {
			line = "it ended at once; see " + logFile.Name()
		}
		return errors.New("start the background process: " + line)
	case <-ctx.Done():
		cmd.Process.Kill()
		cmd.Wait()
		return ctx.Err()
	}
}

// openLog starts the log of a new holder's life; the one before is kept as .old.
func openLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	os.Rename(path, path+".old")
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
}

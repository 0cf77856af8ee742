package remote

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

const (
	maxStdout = 1 << 20  // of one answer
	maxNoise  = 64 << 10 // kept of what came before it
	maxSkip   = 1 << 20  // of noise that is read before giving up
)

// Answer is what a framed script gave.
type Answer struct {
	Stdout []byte
	Exit   int
	Noise  []byte // what came before it, at most 64 KiB: rc files, banners
}

// Err is a *ScriptError unless the script ended with status 0.
func (a Answer) Err() error {
	if a.Exit == 0 {
		return nil
	}
	return &ScriptError{Exit: a.Exit, Stdout: a.Stdout}
}

// ErrTooLong says that a script printed more than 1 MiB.
var ErrTooLong = errors.New("read the script's answer: it is longer than 1 MiB")

// ReadAnswer reads up to the end of the answer to Frame(nonce, …) and no byte
// more. A *NoAnswerError says that the host sent something else.
func ReadAnswer(r *bufio.Reader, nonce string) (Answer, error) {
	noise, err := skipNoise(r, nonce)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Noise: noise[:min(len(noise), maxNoise)]}
	for {
		piece, err := readPast(r, endMark(nonce), maxStdout-len(a.Stdout))
		a.Stdout = append(a.Stdout, piece...)
		if err != nil {
			return Answer{}, ended(err, a.Noise, true)
		}
		status, ok, err := readStatus(r)
		if err != nil {
			return Answer{}, ended(err, a.Noise, true)
		}
		if ok {
			a.Exit, err = strconv.Atoi(string(status))
			return a, err
		}
		a.Stdout = append(append(a.Stdout, endMark(nonce)...), status...)
		if len(a.Stdout) > maxStdout {
			return Answer{}, ErrTooLong
		}
	}
}

func beginMark(nonce string) []byte { return []byte("begin " + nonce + "\n") }
func endMark(nonce string) []byte   { return []byte("end " + nonce + " ") }

// errEcho says that the frame itself came back.
var errEcho = errors.New("the login shell sends back what it is sent")

// skipNoise reads up to the beginning of the answer.
func skipNoise(r *bufio.Reader, nonce string) ([]byte, error) {
	begin, echo := beginMark(nonce), []byte(echoMark(nonce))
	var noise []byte
	for len(noise) < maxSkip {
		c, err := r.ReadByte()
		if err != nil {
			return nil, ended(err, noise, false)
		}
		noise = append(noise, c)
		if c != '\n' {
			continue
		}
		if bytes.HasSuffix(noise, begin) {
			return noise[:len(noise)-len(begin)], nil
		}
		if bytes.HasSuffix(noise, echo) {
			return nil, &NoAnswerError{Noise: noise[:min(len(noise), maxNoise)], err: errEcho}
		}
	}
	return nil, &NoAnswerError{Noise: noise[:maxNoise], err: errors.New("it does not end")}
}

// readPast reads up to the end of mark, which begins at most limit bytes from
// here, and returns what came before it.
func readPast(r *bufio.Reader, mark []byte, limit int) ([]byte, error) {
	var b []byte
	last := mark[len(mark)-1]
	for len(b) < limit+len(mark) {
		c, err := r.ReadByte()
		if err != nil {
			return b, err
		}
		b = append(b, c)
		if c == last && bytes.HasSuffix(b, mark) {
			return b[:len(b)-len(mark)], nil
		}
	}
	return nil, ErrTooLong
}

// readStatus reads "0\n" … "255\n"; not ok: that is not what came.
func readStatus(r *bufio.Reader) (read []byte, ok bool, err error) {
	for len(read) < 3 {
		c, err := r.ReadByte()
		if err != nil {
			return read, false, err
		}
		if c == '\n' && len(read) > 0 {
			return read, true, nil
		}
		read = append(read, c)
		if c < '0' || c > '9' {
			return read, false, nil
		}
	}
	c, err := r.ReadByte()
	if err != nil {
		return read, false, err
	}
	if n, _ := strconv.Atoi(string(read)); c == '\n' && n <= 255 {
		return read, true, nil
	}
	return append(read, c), false, nil
}

// ended makes the error of an answer that broke off.
func ended(err error, noise []byte, begun bool) error {
	if err == io.EOF {
		return &NoAnswerError{Noise: noise[:min(len(noise), maxNoise)], Begun: begun, err: io.ErrUnexpectedEOF}
	}
	if err == ErrTooLong {
		return err
	}
	return fmt.Errorf("read the script's answer: %w", err)
}

package sshx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// asked records questions and answers them in turn.
type asked struct {
	questions []Question
	answers   []string
}

func (a *asked) ask(_ context.Context, q Question) (string, error) {
	a.questions = append(a.questions, q)
	if len(a.answers) == 0 {
		return "", errors.New("no answer left")
	}
	answer := a.answers[0]
	a.answers = a.answers[1:]
	return answer, nil
}

func TestPassword(t *testing.T) {
	noLeak(t)
	s := startServer(t, func(s *server) { s.takePassword("secret"); s.takeKeys() })
	key, _ := newKeyFile(t, "id_ed25519", "ed25519", 1)
	person := &asked{answers: []string{"wrong", "secret"}}
	signed, err := try(t.Context(), s.target(t, key), Options{Ask: person.ask})
	if err != nil || signed.Method != "password" || !signed.Person || signed.KeyFingerprint != "" {
		t.Errorf("%+v %v", signed, err)
	}
	want := []Question{
		{Kind: "password", Hop: "gpu1", Text: "password of me:"},
		{Kind: "password", Hop: "gpu1", Text: "password of me:", Cause: "wrong password"},
	}
	if !slices.Equal(person.questions, want) {
		t.Errorf("%+v", person.questions)
	}
	person = &asked{answers: []string{"a", "b", "c", "secret"}}
	_, err = try(t.Context(), s.target(t, key), Options{Ask: person.ask})
	wantAuthError(t, err, "sign in to gpu1 as me: refused", "offered id_ed25519; answers that were not accepted: 3")
	if len(person.answers) != 1 {
		t.Errorf("asked %d times", len(person.questions))
	}
	_, err = try(t.Context(), s.target(t, key), Options{})
	e := wantAuthError(t, err, "sign in to gpu1: it asks for a password and nobody can be asked", "offered id_ed25519")
	if !errors.Is(err, ErrNobodyToAsk) || e.Hint() != "nbremote open gpu1, once, in a terminal" {
		t.Errorf("%v; %s", err, e.Hint())
	}
	gone := func(context.Context, Question) (string, error) { return "", fmt.Errorf("ask: %w", ErrNobodyToAsk) }
	_, err = try(t.Context(), s.target(t, key), Options{Ask: gone})
	wantAuthError(t, err, "sign in to gpu1: it asks for a password and nobody can be asked", "offered id_ed25519")
}

func wantAuthError(t *testing.T, err error, text, cause string) *AuthError {
	t.Helper()
	var e *AuthError
	if !errors.As(err, &e) {
		t.Fatalf("%v, want an AuthError", err)
	}
	if e.Error() != text || e.Cause() != cause || e.Class() != "sign-in" {
		t.Errorf("%v (cause: %s)\nwant %s (cause: %s)", e, e.Cause(), text, cause)
	}
	return e
}

// TestKeyThenCode signs in in two steps.
func TestKeyThenCode(t *testing.T) {
	noLeak(t)
	file, pub := newKeyFile(t, "id_ed25519", "ed25519", 1)
	s := startServer(t, func(s *server) {
		s.config.PublicKeyCallback = func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if !sameKey(key, pub) {
				return nil, errRefused
			}
			return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{KeyboardInteractiveCallback: codeCallback("123456")}}
		}
	})
	person := &asked{answers: []string{"654321", "123456"}}
	var notices []string
	signed, err := try(t.Context(), s.target(t, file), Options{Ask: person.ask, Notice: func(s string) { notices = append(notices, s) }})
	if err != nil || signed.Method != "id_ed25519, code" || !signed.Person || signed.KeyFingerprint != ssh.FingerprintSHA256(pub) {
		t.Errorf("%+v %v", signed, err)
	}
	want := Question{Kind: "keyboard", Hop: "gpu1", Text: "Two factors\n1. push\n2. code\nPasscode or option (1 = push): ", Echo: true}
	if len(person.questions) != 2 || person.questions[0] != want || person.questions[1].Cause != "not accepted" {
		t.Errorf("%+v", person.questions)
	}
	if !slices.Contains(notices, "Welcome back") {
		t.Errorf("%q", notices)
	}
	_, err = try(t.Context(), s.target(t, file), Options{})
	wantAuthError(t, err, "sign in to gpu1: it asks for a code and nobody can be asked", "offered id_ed25519")
}

// TestTwoRounds: password and code in one method are no second try, and a
// server that offers to ask and then does not is left alone.
func TestTwoRounds(t *testing.T) {
	noLeak(t)
	s := startServer(t, func(s *server) {
		s.config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			for _, prompt := range []string{"Password: ", "Code: "} {
				if got, err := ask("", "", []string{prompt}, []bool{false}); err != nil || got[0] != prompt[:1] {
					return nil, errRefused
				}
			}
			return nil, nil
		}
	})
	person := &asked{answers: []string{"P", "x", "P", "C"}}
	signed, err := try(t.Context(), s.target(t), Options{Ask: person.ask})
	if err != nil || signed.Method != "password" {
		t.Errorf("%+v %v", signed, err)
	}
	for i, cause := range []string{"", "", "not accepted", ""} {
		if person.questions[i].Cause != cause {
			t.Errorf("question %d: %+v", i, person.questions[i])
		}
	}
	tries := 0
	s = startServer(t, func(s *server) {
		s.takePassword("secret")
		s.config.KeyboardInteractiveCallback = func(ssh.ConnMetadata, ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			tries++
			return nil, errRefused
		}
	})
	signed, err = try(t.Context(), s.target(t), Options{Ask: answers(t, "secret")})
	if err != nil || signed.Method != "password" || tries != 1 {
		t.Errorf("%+v %v, %d tries", signed, err, tries)
	}
}

func TestRefused(t *testing.T) {
	noLeak(t)
	s := startServer(t, func(s *server) { s.takeKeys() })
	a, _ := newKeyFile(t, "id_ed25519", "ed25519", 1)
	b, _ := newKeyFile(t, "id_rsa", "rsa", 1)
	_, err := try(t.Context(), s.target(t, a, b), Options{Ask: answers(t)})
	e := wantAuthError(t, err, "sign in to gpu1 as me: refused", "offered id_ed25519, id_rsa")
	if want := `ssh-copy-id gpu1, or set User under "Host gpu1" in ~/.ssh/config`; e.Hint() != want {
		t.Error(e.Hint())
	}
	target := s.target(t, a)
	target.PubkeyAuth = false
	_, err = try(t.Context(), target, Options{})
	wantAuthError(t, err, "sign in to gpu1 as me: refused", "no key to offer")
	s = startServer(t, func(s *server) {
		s.config.GSSAPIWithMICConfig = &ssh.GSSAPIWithMICConfig{AllowLogin: func(ssh.ConnMetadata, string) (*ssh.Permissions, error) { return nil, errRefused }, Server: noGSSAPI{}}
	})
	_, err = try(t.Context(), s.target(t), Options{Ask: answers(t)})
	wantAuthError(t, err, "sign in to gpu1 as me: refused", "no key to offer; it said: it takes only gssapi-with-mic")
}

type noGSSAPI struct{}

func (noGSSAPI) AcceptSecContext([]byte) ([]byte, string, bool, error) {
	return nil, "", false, errRefused
}
func (noGSSAPI) VerifyMIC([]byte, []byte) error { return errRefused }
func (noGSSAPI) DeleteSecContext() error        { return nil }

// TestLastKeyFirst and TestTooManyKeys are about MaxAuthTries.
func TestLastKeyFirst(t *testing.T) {
	a, _ := newKeyFile(t, "a", "ed25519", 1)
	b, pub := newKeyFile(t, "b", "ed25519", 2)
	s := startServer(t, func(s *server) { s.takeKeys(pub) })
	signed, err := try(t.Context(), s.target(t, a, b), Options{})
	if err != nil || signed.Method != "b" || len(s.shown()) != 2 {
		t.Fatalf("%+v %v", signed, err)
	}
	if _, err = try(t.Context(), s.target(t, a, b), Options{LastKey: signed.KeyFingerprint}); err != nil {
		t.Fatal(err)
	}
	if shown := s.shown(); !slices.Equal(shown, []string{signed.KeyFingerprint}) {
		t.Errorf("offered %v", shown)
	}
}

func TestTooManyKeys(t *testing.T) {
	s := startServer(t, func(s *server) { s.takeKeys(); s.config.MaxAuthTries = 6 })
	var files []string
	for n := range 10 {
		file, _ := newKeyFile(t, fmt.Sprint("key", n), "ed25519", n)
		files = append(files, file)
	}
	_, err := try(t.Context(), s.target(t, files...), Options{Ask: answers(t)})
	var e *AuthError
	if !errors.As(err, &e) || len(e.Offered) > 7 || !strings.Contains(e.Cause(), "too many") || !strings.Contains(e.Hint(), "IdentitiesOnly") {
		t.Errorf("%v, %s, %s", err, e.Cause(), e.Hint())
	}
}

func TestPreferredAuths(t *testing.T) {
	file, pub := newKeyFile(t, "id", "ed25519", 1)
	s := startServer(t, func(s *server) { s.takeKeys(pub); s.takePassword("secret") })
	target := s.target(t, file)
	target.PreferredAuths = []string{"password", "publickey"}
	signed, err := try(t.Context(), target, Options{Ask: answers(t, "secret")})
	if err != nil || signed.Method != "password" {
		t.Errorf("%+v %v", signed, err)
	}
	signed, err = try(t.Context(), target, Options{})
	if err != nil || signed.Method != "id" {
		t.Errorf("without a person: %+v %v", signed, err)
	}
}

// TestClockStops: while a person thinks, no time passes.
func TestClockStops(t *testing.T) {
	const timeout = 2 * time.Second
	s := startServer(t, func(s *server) { s.takePassword("secret") })
	slowly := func(ctx context.Context, q Question) (string, error) {
		select {
		case <-time.After(timeout + 100*time.Millisecond):
			return "secret", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	if signed, err := try(t.Context(), s.target(t), Options{Ask: slowly, Timeout: timeout}); err != nil || signed.Asked < timeout {
		t.Errorf("%v, asked for %v", err, signed.Asked)
	}
}

func TestClock(t *testing.T) {
	over := make(chan struct{})
	c := startClock(time.Hour, func() { close(over) })
	c.stop()
	c.stop()
	c.grant(time.Millisecond)
	c.start(0)
	select {
	case <-over:
		t.Fatal("it ran while it was stopped")
	case <-time.After(20 * time.Millisecond):
	}
	if d := c.asked(); d != 0 {
		t.Errorf("it stands still, and stood for %v", d)
	}
	c.start(0)
	if d := c.asked(); d < 20*time.Millisecond || d > time.Minute {
		t.Errorf("it stood for %v", d)
	}
	within(t, over)
	c = startClock(time.Hour, func() { t.Error("it ran out after its end") })
	c.stop()
	c.end()
	c.start(0)
	c.grant(time.Millisecond)
	c.shorten(time.Microsecond)
	time.Sleep(5 * time.Millisecond)
}

// TestCancelledWhileAsking: the end of ctx ends the question too.
func TestCancelledWhileAsking(t *testing.T) {
	noLeak(t)
	s := startServer(t, func(s *server) { s.takePassword("secret") })
	ctx, cancel := context.WithCancel(t.Context())
	ask := func(ctx context.Context, _ Question) (string, error) {
		cancel()
		<-ctx.Done()
		return "", ctx.Err()
	}
	if _, err := try(ctx, s.target(t), Options{Ask: ask}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestD2_EndlessBanner: banners are bounded, and so is the time they take.
func TestD2_EndlessBanner(t *testing.T) {
	s := startServer(t, func(s *server) {
		s.config.BannerCallback = func(ssh.ConnMetadata) string { return strings.Repeat("x", 200<<10) }
		s.takeKeys()
	})
	heard := 0
	_, err := try(t.Context(), s.target(t), Options{Notice: func(text string) {
		if strings.Trim(text, "x") == "" {
			heard += len(text)
		}
	}})
	if err == nil || heard != 64<<10 {
		t.Errorf("heard %d bytes, %v", heard, err)
	}
}

// TestServerEndsSignIn: an end of the line in the middle asks nobody anything.
func TestServerEndsSignIn(t *testing.T) {
	s := startServer(t, func(s *server) {
		s.takePassword("secret")
		s.config.PublicKeyCallback = func(m ssh.ConnMetadata, _ ssh.PublicKey) (*ssh.Permissions, error) {
			panicFree := m.(interface{ Close() error })
			panicFree.Close()
			return nil, errRefused
		}
	})
	file, _ := newKeyFile(t, "id", "ed25519", 1)
	_, err := try(t.Context(), s.target(t, file), Options{Ask: answers(t)})
	var dial *DialError
	if !errors.As(err, &dial) || dial.Phase != PhaseSignIn || dial.Class() != "connect" {
		t.Errorf("%v", err)
	}
}

// A server does not wait for a person for ever, and does not say so.
func TestServerEndsSignIn_WhileAsking(t *testing.T) {
	for _, c := range []struct {
		asked time.Duration
		want  string
	}{
		{time.Second, ""},
		{130 * time.Second, "the answer took 130 s; a server waits for two minutes, or what its LoginGraceTime says"},
	} {
		u := newAuth(&attempt{ctx: t.Context(), target: &Target{Name: "gpu1", Host: "gpu1", Port: 22}, clock: &clock{waited: c.asked}})
		defer u.close()
		var dial *DialError
		if err := u.ended(io.EOF); !errors.As(err, &dial) || dial.Cause() != c.want {
			t.Errorf("after %v: %v (cause: %s)", c.asked, err, dial.Cause())
		}
	}
}

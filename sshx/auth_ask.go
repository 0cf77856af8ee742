package sshx

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

const maxTries = 3 // of one passphrase, and of passwords and codes together

// slowAnswer is when a server may have ended the connection for want of one.
const slowAnswer = 20 * time.Second

// pushLimit is how long a server may take after a keyboard-interactive answer:
// somebody may be looking for their phone.
const pushLimit = 2 * time.Minute

// unlock asks for a passphrase, three times at most. An empty one gives the
// key up.
func (u *auth) unlock(f *keyFile) error {
	q := Question{Kind: "passphrase", Hop: u.target.Name, Text: "passphrase of " + f.name() + ":"}
	for range maxTries {
		answer, err := u.ask(q)
		if errors.Is(err, ErrNobodyToAsk) {
			u.needs = "the passphrase of " + f.name()
		}
		if err != nil {
			return u.unusable(f, err)
		}
		if answer == "" {
			return u.unusable(f, errors.New("no passphrase given"))
		}
		if err = f.unlock(answer); err == nil {
			u.person = true
			return nil
		}
		if !errors.Is(err, errPassphrase) {
			return u.unusable(f, err)
		}
		q.Cause = "wrong passphrase"
	}
	return u.unusable(f, errPassphrase)
}

// addToAgent does what AddKeysToAgent wants, as ssh does: before the key has
// been of use. That it could not be done is no reason not to sign in.
func (u *auth) addToAgent(f *keyFile) {
	terms := u.target.AddKeysToAgent
	if terms == "" || u.ids.agent == nil || f.private == nil {
		return
	}
	if terms == "ask" {
		answer, err := u.ask(Question{Kind: "keyboard", Hop: u.target.Name, Text: "add " + f.name() + " to the agent? yes or no:", Echo: true})
		if err != nil || !strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y") {
			return
		}
	}
	if err := u.ids.agent.add(u.ctx, f.private, f.path, terms); err != nil {
		u.opts.notice(f.name() + " could not be added to the agent: " + oneLine(err.Error()))
	}
}

func (u *auth) unusable(f *keyFile, err error) error {
	u.ids.unused = append(u.ids.unused, f.name()+" ("+oneLine(err.Error())+")")
	if u.ctx.Err() != nil {
		u.fatal = context.Cause(u.ctx)
	}
	return err
}

func (u *auth) password() (string, error) {
	q := Question{Kind: "password", Hop: u.target.Name, Text: "password of " + u.target.User + ":"}
	if u.wrong > 0 {
		q.Cause = "wrong password"
	}
	return u.answer(q, "a password")
}

// challenge passes the server's prompts on as they are (RFC 4256).
func (u *auth) challenge(title, instruction string, prompts []string, echos []bool) ([]string, error) {
	about := strings.TrimSpace(title + "\n" + instruction)
	if len(prompts) == 0 {
		if about != "" {
			u.opts.notice(bounded(about, 4096))
		}
		u.clock.grant(pushLimit)
		return nil, nil
	}
	if len(prompts) > 16 {
		return nil, u.give(fmt.Errorf("it asks %d questions at once", len(prompts)))
	}
	answers := make([]string, len(prompts))
	for i, prompt := range prompts {
		q := Question{Kind: "keyboard", Hop: u.target.Name, Text: prompt, Echo: echos[i]}
		if about != "" && i == 0 {
			q.Text = about + "\n" + prompt
		}
		what := "a code"
		if strings.Contains(strings.ToLower(prompt), "password") {
			what, u.current = "a password", "password"
		}
		if u.wrong > 0 && !u.asked {
			q.Cause = "not accepted"
		}
		var err error
		if answers[i], err = u.answer(q, what); err != nil {
			return nil, err
		}
	}
	u.clock.grant(pushLimit)
	return answers, nil
}

// askTouch tells a person, until end is called, that the key of that name waits
// to be touched.
func (u *auth) askTouch(name string) (end func()) {
	if u.opts.Ask == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(u.ctx)
	told := make(chan struct{})
	go func() {
		defer close(told)
		u.opts.Ask(ctx, Question{Kind: "touch", Hop: u.target.Name, Text: name})
	}()
	return func() { cancel(); <-told }
}

// answer asks; without an answer the sign-in is over.
func (u *auth) answer(q Question, what string) (string, error) {
	text, err := u.ask(q)
	if errors.Is(err, ErrNobodyToAsk) {
		e := u.failed()
		e.Needs, e.Err = what, err
		return "", u.give(e)
	}
	if err != nil {
		e := u.failed()
		e.Err = err
		return "", u.give(e)
	}
	u.asked, u.person = true, true
	return text, nil
}

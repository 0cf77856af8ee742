package sshx

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

const touchLimit = 60 * time.Second // where a person may have to touch or to confirm

// personTime is how long a signature takes at least when a person is asked for
// it.
const personTime = time.Second

var agentLimit = 5 * time.Second // tests make it shorter

// agentKeys is an open ssh-agent and the keys it lists.
type agentKeys struct {
	conn   net.Conn
	client agent.ExtendedAgent
	keys   []agentKey
	listed time.Duration // how long it took to list them
}

type agentKey struct {
	pub     ssh.PublicKey
	comment string
}

// openAgent lists the keys of the agent; sock "" is the default one, "none" is
// no agent. An agent that is not there has no keys; one that does not answer is
// an error.
func openAgent(ctx context.Context, sock string) (*agentKeys, error) {
	if sock == "none" {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, agentLimit)
	defer cancel()
	conn, err := dialAgent(ctx, sock)
	if conn == nil || err != nil {
		return nil, err
	}
	closing := context.AfterFunc(ctx, func() { conn.Close() })
	a := &agentKeys{conn: conn, client: agent.NewClient(conn)}
	start := time.Now()
	listed, err := a.client.List()
	a.listed = time.Since(start)
	if !closing() {
		err = fmt.Errorf("no answer in %s", seconds(agentLimit))
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	for _, key := range listed {
		if pub, err := ssh.ParsePublicKey(key.Blob); err == nil {
			a.keys = append(a.keys, agentKey{pub: pub, comment: oneLine(key.Comment)})
		}
	}
	return a, nil
}

// sign has the agent sign. The agent is of no more use after its time was up.
func (a *agentKeys) sign(ctx context.Context, limit time.Duration, key ssh.PublicKey, data []byte, algo string) (*ssh.Signature, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	closing := context.AfterFunc(ctx, func() { a.conn.Close() })
	sig, err := a.client.SignWithFlags(key, data, signFlags(algo))
	if !closing() && err != nil {
		err = fmt.Errorf("the agent did not sign in %s", seconds(limit))
	}
	return sig, err
}

// add gives the agent a key, on the terms of ssh_config's AddKeysToAgent as
// ssh -G says it: true, ask, confirm, seconds, or confirm and seconds.
func (a *agentKeys) add(ctx context.Context, key any, comment, terms string) error {
	added := agent.AddedKey{PrivateKey: key, Comment: comment}
	for _, term := range strings.Fields(terms) {
		if term == "confirm" {
			added.ConfirmBeforeUse = true
		} else if n, err := strconv.ParseUint(term, 10, 32); err == nil {
			added.LifetimeSecs = uint32(n)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, agentLimit)
	defer cancel()
	closing := context.AfterFunc(ctx, func() { a.conn.Close() })
	defer closing()
	return a.client.Add(added)
}

func signFlags(algo string) agent.SignatureFlags {
	switch algo {
	case ssh.KeyAlgoRSASHA256:
		return agent.SignatureFlagRsaSha256
	case ssh.KeyAlgoRSASHA512:
		return agent.SignatureFlagRsaSha512
	}
	return 0
}

func (a *agentKeys) close() {
	if a != nil {
		a.conn.Close()
	}
}

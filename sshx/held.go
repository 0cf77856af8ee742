package sshx

import (
	"context"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Held are the keys that a sign-in to a target would offer.
type Held struct {
	Keys []HeldKey
	// Unused are keys that cannot be used, and an agent that cannot be asked,
	// each with why.
	Unused []string
	// Agent is the agent that is asked, "" = none; AgentKeys are how many keys
	// it has, -1 = it cannot be asked.
	Agent     string
	AgentKeys int
}

// HeldKey is one of them.
type HeldKey struct {
	Name        string
	Fingerprint string // of the public half; "" = not known before it is unlocked
	Agent       bool   // the agent signs
	Locked      bool   // a passphrase will be asked for
	Touch       bool   // a person has to touch it
}

// Keys gives the keys that a sign-in to t would offer, in that order, those
// that need a passphrase to be looked at last. Nothing is signed or unlocked.
func Keys(ctx context.Context, t *Target) Held {
	ids := loadIdentities(ctx, t, "")
	defer ids.agent.close()
	held := Held{Unused: ids.unused, Agent: t.IdentityAgent}
	if held.Agent == "" {
		held.Agent = os.Getenv("SSH_AUTH_SOCK")
	}
	if held.Agent == "none" {
		held.Agent = ""
	}
	if ids.agent != nil {
		held.AgentKeys = len(ids.agent.keys)
	}
	for _, text := range ids.unused {
		if strings.HasPrefix(text, agentUnused) {
			held.AgentKeys = -1
		}
	}
	for _, id := range ids.ready {
		held.Keys = append(held.Keys, HeldKey{
			Name: id.name, Fingerprint: ssh.FingerprintSHA256(id.pub), Agent: id.agent, Touch: id.touch,
			Locked: id.file != nil && id.file.locked(),
		})
	}
	if t.Engine != EngineNative && hasMasters {
		held.bySSH(ids.fido)
	}
	for _, f := range ids.late {
		held.Keys = append(held.Keys, HeldKey{Name: f.name(), Locked: true})
	}
	return held
}

// bySSH adds the files of security keys, which only ssh itself can use.
func (h *Held) bySSH(files []*keyFile) {
	for _, f := range files {
		h.Keys = append(h.Keys, HeldKey{Name: f.name(), Fingerprint: ssh.FingerprintSHA256(f.pub), Touch: true})
		h.Unused = slices.DeleteFunc(h.Unused, func(text string) bool { return strings.HasPrefix(text, f.name()+" (") })
	}
}

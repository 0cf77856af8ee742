package holder

import (
	"time"

	"nbremote/sshx"
)

// signedIn notes how a sign-in went. byChild: a child of ours asked a person.
func (h *holder) signedIn(conn *sshx.Conn, start time.Time, byChild bool) {
	signed := conn.Signed()
	h.mu.Lock()
	h.signed, h.childAsked = signed, byChild
	if signed.HostKey != "" {
		h.pinned = signed.HostKey
	}
	h.mu.Unlock()
	if signed.KeyFingerprint != "" {
		h.memory.setLastKey(signed.KeyFingerprint)
	}
	h.memory.setPerson(signed.Person || byChild)
	h.memory.setName(h.spec.Target.Name)
	h.log.Printf("signed in (%s)", signed.Method)
	h.tell(Event{Kind: "done", Hop: h.spec.Target.Name, Text: signedText(signed), MS: (time.Since(start) - signed.Asked).Milliseconds()})
}

func signedText(s sshx.Signed) string {
	text := "signed in (" + s.Method + ")"
	if s.HostKeySaved {
		text += ", host key saved"
	}
	return text
}

package sshx

import "fmt"

// HostKeyError says that the host could not prove to be the one it was, or
// that nobody vouched for its key. Nothing was signed.
type HostKeyError struct {
	Name   string
	Reason HostKeyReason
	Key    string // fingerprint of the key the host showed, or ""
	Type   string // of that key
	Known  string // fingerprint of the key it had
	Place  string // file:line of that, or of what cannot be read
	Remove string // the ssh-keygen line that forgets it
	Err    error
}

// HostKeyReason is why a host key was not accepted.
type HostKeyReason string

// The reasons for a HostKeyError.
const (
	HostKeyChanged HostKeyReason = "changed"
	HostKeyRevoked HostKeyReason = "revoked"
	HostKeyUnknown HostKeyReason = "unknown" // and nobody could be asked, or ssh_config forbids it
	HostKeyRefused HostKeyReason = "refused" // the person said no
	HostKeyUnread  HostKeyReason = "unread"  // a known_hosts file cannot be read
	HostKeyInvalid HostKeyReason = "invalid" // a certificate that does not hold
)

func (e *HostKeyError) Error() string {
	switch e.Reason {
	case HostKeyChanged:
		return "host key of " + e.Name + " changed; stopped before signing in"
	case HostKeyRevoked:
		return "host key of " + e.Name + " is revoked; stopped before signing in"
	case HostKeyUnread:
		return "check the host key of " + e.Name + ": cannot read " + e.Place
	case HostKeyInvalid:
		return "host certificate of " + e.Name + " does not hold; stopped before signing in"
	case HostKeyRefused:
		return "host key of " + e.Name + " was not accepted; stopped before signing in"
	}
	return "host key of " + e.Name + " is not known; stopped before signing in"
}

func (e *HostKeyError) Unwrap() error { return e.Err }

// Class is host-key.
func (e *HostKeyError) Class() string { return classHostKey }

// Cause gives the fingerprints, or what is wrong with the file.
func (e *HostKeyError) Cause() string {
	switch {
	case e.Reason == HostKeyChanged:
		was := e.Known
		if e.Place != "" {
			was += " (" + e.Place + ")"
		}
		return fmt.Sprintf("was %s, is %s: new installation or impostor", was, e.Key)
	case e.Reason == HostKeyRevoked:
		return e.Key + ", revoked in " + e.Place
	case e.Reason == HostKeyUnknown:
		return fmt.Sprintf("it shows %s %s; %s", e.Type, e.Key, oneLine(e.Err.Error()))
	case e.Err != nil:
		return oneLine(e.Err.Error())
	}
	return "it shows " + e.Type + " " + e.Key
}

// Hint is what to do about it.
func (e *HostKeyError) Hint() string {
	switch e.Reason {
	case HostKeyChanged:
		if e.Remove == "" {
			return "ask its owner; only if the new one is right: nbremote close " + e.Name
		}
		return "ask its owner; only if the new one is right: " + e.Remove
	case HostKeyUnknown:
		return "nbremote open " + e.Name + ", once, in a terminal; or ssh " + e.Name
	case HostKeyUnread:
		return "repair it or move it away; what it held is then asked again"
	case HostKeyRefused:
		return "ask its owner for the fingerprint, and paste it"
	}
	return "ask its owner"
}

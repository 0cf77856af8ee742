package cli

import (
	"fmt"
	"os"
	"sync"
)

// stdout is where a command prints its result. What could not be written there
// is an error of the command, whether or not it looks at each write.
var stdout = &output{file: os.Stdout}

type output struct {
	file *os.File
	mu   sync.Mutex
	err  error // the first
}

func (o *output) Write(b []byte) (int, error) {
	n, err := o.file.Write(b)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil && o.err == nil {
		o.err = fmt.Errorf("write the output: %w", err)
	}
	return n, err
}

// lost is why something is missing from the output, or nil.
func (o *output) lost() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

package jupyter

import (
	"regexp"
	"sync"
)

// expression is a regular expression that is compiled when it is first used:
// most commands start no Jupyter and are to be quick.
func expression(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

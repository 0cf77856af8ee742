//go:build unix

package webproxy

import "golang.org/x/sys/unix"

// freeBytes is what is free for us where a directory is.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

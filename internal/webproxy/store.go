package webproxy

import (
	"errors"
	"os"
	"sync"
	"time"
)

const (
	storeMemory  = 4 << 20
	storeDisk    = 10 << 30
	storeShare   = 10 // one part in so many of what is free
	segmentLeast = 64 << 10
	segmentMost  = 64 << 20
)

// Store is the room for messages that no page has acknowledged: some memory,
// then files. All proxies of a process may share one. The zero value works.
type Store struct {
	Dir    string // for the files, best 0700; "" = the system's for temporary ones
	Memory int64  // bytes, 0 = 4 MiB
	Quota  int64  // bytes on disk, 0 = 10 GiB, or a tenth of what is free if that is less

	mu     sync.Mutex
	memory int64
	disk   int64
	quota  int64 // found out, as of found
	found  time.Time
}

// reserve takes room in memory if there is some.
func (s *Store) reserve(n int64) bool {
	limit := s.Memory
	if limit == 0 {
		limit = storeMemory
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.memory+n > limit {
		return false
	}
	s.memory += n
	return true
}

// force takes room that was counted elsewhere before.
func (s *Store) force(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memory += n
}

func (s *Store) release(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memory -= n
}

// claim takes room on disk if the quota has some.
func (s *Store) claim(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.disk+n > s.limit() {
		return false
	}
	s.disk += n
	return true
}

func (s *Store) unclaim(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disk -= n
}

// limit is the quota. Called with mu held.
func (s *Store) limit() int64 {
	if s.Quota != 0 {
		return s.Quota
	}
	if now := time.Now(); s.quota == 0 || now.Sub(s.found) > time.Minute {
		s.quota, s.found = storeDisk, now
		if free, err := freeBytes(s.dir()); err == nil {
			s.quota = min(storeDisk, (free+s.disk)/storeShare)
		}
	}
	return s.quota
}

func (s *Store) dir() string {
	if s.Dir == "" {
		return os.TempDir()
	}
	return s.Dir
}

// segmentSize is when a file is long enough: a file is what is given up at
// once when there is no more room.
func (s *Store) segmentSize() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return min(max(s.limit()/8, segmentLeast), segmentMost)
}

// Disk is how many bytes are on disk, and how many may be.
func (s *Store) Disk() (used, quota int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.disk, s.limit()
}

// create makes a file that nobody else can open, and that goes with us.
func (s *Store) create() (*os.File, error) {
	f, err := os.CreateTemp(s.dir(), "kept-") // 0600
	if err == nil {
		os.Remove(f.Name()) // where an open file can be removed
	}
	return f, err
}

var errFull = errors.New("no room is left")

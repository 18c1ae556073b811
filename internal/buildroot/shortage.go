package buildroot

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"syscall"

	"plague"
	"plague/internal/sandbox"
)

// A shortage is an error of a build that needs more than this machine has: nobody's
// doing, and over on a larger one.
type shortage struct {
	kind plague.FailureKind // memory or disk
	had  int64              // bytes of it that the machine had
	text string
}

func (s *shortage) Error() string { return s.text }

// saidKilled is how compilers, shells and make say that somebody killed a program.
var saidKilled = regexp.MustCompile(`\bKilled\b|terminated with signal 9\b`)

// shortOfMemory says that a build failed because the kernel killed some of it for want of
// memory; nil: that is not certain. A group's count is of the build alone. The machine's
// may be of others, so the build must show that something of it was killed, too. What a
// program says of memory that it did not get proves nothing: it may have asked for any
// amount.
func shortOfMemory(res sandbox.Result, said string) error {
	killed := res.Signal == int(syscall.SIGKILL) || saidKilled.MatchString(said)
	if res.Used.Kills == 0 || res.Used.Meter != plague.MeterGroup && !killed {
		return nil
	}
	has, _ := sandbox.Memory()
	return &shortage{plague.FailureMemory, has, fmt.Sprintf("out of memory: the kernel killed %d of its processes; the builder has %s, and other builds may have had some of it",
		res.Used.Kills, plague.Size(has))}
}

func saysFull(said string) bool { return strings.Contains(said, "No space left on device") }

// shortOfDisk gives the error of a build that failed on a full disk. If the build itself
// filled it, with at least half of what was free when it began, it needs a larger one. If
// it did not, the disk is the machine's own trouble.
func shortOfDisk(err error, filled bool, used, had int64) error {
	if !filled && !errors.Is(err, syscall.ENOSPC) || used < had/2 {
		return err
	}
	return &shortage{plague.FailureDisk, had, fmt.Sprintf("out of disk: %s were free on the builder when it began, and it used %s: %v", plague.Size(had), plague.Size(used), err)}
}

package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"plague"

	"golang.org/x/sys/unix"
)

// A folder's lock has two bytes. A supervisor holds both for as long as it lives; a
// daemon that closes the folder holds the second for a moment, and is not taken for
// a supervisor meanwhile. They belong to the open file (fcntl(2), "open file
// description locks"): who asks for one holds nothing, not even for a moment.
func lives() unix.Flock_t   { return unix.Flock_t{Type: unix.F_WRLCK, Start: 0, Len: 1} }
func closes() unix.Flock_t  { return unix.Flock_t{Type: unix.F_WRLCK, Start: 1, Len: 1} }
func takesUp() unix.Flock_t { return unix.Flock_t{Type: unix.F_WRLCK, Start: 0, Len: 2} }

// tryLock takes a part of a folder's lock; plague.ErrConflict says that somebody has it.
func tryLock(dir string, part unix.Flock_t) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &part); err != nil {
		f.Close()
		if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) { // either, says fcntl(2)
			return nil, fmt.Errorf("%w: a supervisor lives in %s", plague.ErrConflict, dir)
		}
		return nil, err
	}
	return f, nil
}

// Alive says whether a supervisor lives in an attempt's folder.
func Alive(dir string) bool {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	part := lives()
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &part) == nil && part.Type != unix.F_UNLCK
}

// closeFolder makes sure that nobody supervises a folder now or later; it says
// whether that is so.
func closeFolder(dir string) (bool, error) {
	lock, err := tryLock(dir, closes())
	if errors.Is(err, plague.ErrConflict) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer lock.Close()
	f, err := os.OpenFile(filepath.Join(dir, closedFile), os.O_WRONLY|os.O_CREATE|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return false, err
	}
	return true, f.Close()
}

// slotPatience is how long a supervisor that was killed may take to be gone.
const slotPatience = 5 * time.Second

// holdSlot takes a slot, for as long as the file is open. The daemon says which, and
// it is not trusted with two builds in one account.
func holdSlot(ctx context.Context, dir string, slot int) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(slot)), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(slotPatience); ; {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || ctx.Err() != nil || time.Now().After(end) {
			f.Close()
			return nil, fmt.Errorf("slot %d is another build's: %w", slot, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

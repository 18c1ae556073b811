package cli

import (
	"errors"
	"os"
	"runtime"

	"plague/internal/sandbox"

	"golang.org/x/sys/unix"
)

// goAlone gives up what the half of the builder that speaks with the network has no need
// of, for whoever may take it over.
func goAlone() error {
	if err := gainNothing(); err != nil {
		return err
	}
	return closed()
}

// gainNothing has this program begin again as one that cannot gain rights any more: not
// by sudo or any other program with the set-uid bit, whatever takes it over. Only what
// begins that way is so in all its threads.
func gainNothing() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	said, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err != nil || said == 1 {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return unix.Exec("/proc/self/exe", os.Args, os.Environ())
}

// closed keeps others of this account, which fetch what packagers name, from looking into
// this process, which has the builder's key, and this process from starting anything.
func closed() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return err
	}
	if err := sandbox.Alone(); !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

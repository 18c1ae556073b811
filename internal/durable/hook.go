package durable

import (
	"io/fs"
	"os"
)

// Hook is asked before every operation that changes something, from whatever
// goroutine makes the change. An error means that the operation does not happen
// and that its caller gets the error. A process that died is a hook that refuses
// everything from some moment on: clean-ups are asked for too, so they do not
// happen either.
//
// name is relative to the folder given to Open; a rename, a link and a symlink
// are named by their new name. A file that is not committed yet is named by the
// name it will have.
type Hook func(op, name string) error

// The operations a Hook is asked about.
const (
	OpCreate    = "create" // a file comes into being, under a temporary name if it is a File
	OpWrite     = "write"  // under a hook each Write is asked about as two halves
	OpTruncate  = "truncate"
	OpSync      = "sync"    // a file's content reaches the disk
	OpSyncDir   = "syncdir" // a folder's names reach the disk
	OpRename    = "rename"  // the commit of a File, too
	OpLink      = "link"
	OpSymlink   = "symlink"
	OpMkdir     = "mkdir"
	OpChmod     = "chmod"
	OpRemove    = "remove" // the abort of a File, too
	OpRemoveAll = "removeall"
)

// ask is the one place where a fault can be injected.
func (d *Dir) ask(op, name string) error {
	if d.hook == nil {
		return nil
	}
	name = d.hookName(name)
	if err := d.hook(op, name); err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// write writes p to f, which the hook knows as name. A crash can leave any part
// of a write on the disk; with a hook, refusing the second half does.
func (d *Dir) write(f *os.File, name string, p []byte) (int, error) {
	if d.hook == nil {
		return f.Write(p)
	}
	n := 0
	for _, part := range [][]byte{p[:len(p)/2], p[len(p)/2:]} {
		if len(part) == 0 {
			continue
		}
		if err := d.ask(OpWrite, name); err != nil {
			return n, err
		}
		m, err := f.Write(part)
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

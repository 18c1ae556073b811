// Package sandbox runs one command so that nothing it does reaches the machine:
// in namespaces of its own, over read-only layers, without capabilities, without
// a network but its own loopback, bounded in time and output. It knows nothing
// of RPMs. Why it is made the way it is: docs/adr/0001-sandbox.md.
package sandbox

import (
	"context"
	"io"
	"time"
)

// A Sandbox runs commands. A command that fails, or is stopped, is a Result; an
// error says that the sandbox itself could not be made, watched or listened to,
// and that nothing is known of the command. When ctx ends, the command and
// everything it started are killed and gone before Run returns.
type Sandbox interface {
	Run(ctx context.Context, c Command) (Result, error)
}

// A Command is one program in one sandbox.
type Command struct {
	// Layers are folders that together are the root folder of the command, the
	// topmost first. None of them is written to; none may change meanwhile.
	Layers []string
	// Upper keeps what the command changes in its root folder, to become a layer
	// later; it is on the file system of Work. Empty: changes are thrown away.
	Upper string
	// Work is a folder of this run. It is made anew and removed at the end; it
	// stays if this process is killed, and nothing is ever mounted on it then.
	Work string

	Binds  []Bind // folders and files of the machine that the command sees
	Nested string // folder inside that gets /dev and /proc too, for a command that calls chroot; usually ""

	UID, GID int  // of the command; 0 only with Caps of installing
	Caps     Caps // what a command with uid 0 may do in its own root folder

	Args     []string // program and arguments; the program is looked up in PATH of Env
	Env      []string
	Dir      string // working folder inside; default /
	Hostname string // default builder

	Stdin  io.Reader // default: empty; Run returns when it has ended, or failed to be written
	Output io.Writer // standard output and error together; default: nowhere

	Personality32 bool // the machine looks like its 32-bit form: i686 on x86_64
	Limits        Limits
}

// A Bind shows the folder or file Source at Target. Neither devices nor set-user-id
// programs work in it.
type Bind struct {
	Source   string // on the machine
	Target   string // inside; made if it is absent
	ReadOnly bool
}

// Caps says which of root's powers a command keeps.
type Caps int

const (
	CapsNone    Caps = iota // none: every build
	CapsInstall             // those that unpacking packages and their scriptlets needs
)

// Limits bound a command. The zero value of each is no limit of ours.
type Limits struct {
	Wall   time.Duration // from start to end
	Idle   time.Duration // without a byte of output
	Output int64         // bytes of output

	FileSize uint64 // bytes of one file
	Procs    uint64 // processes and threads of the uid, not counted for uid 0
	Memory   uint64 // bytes of private writable memory of one process
}

// What stopped a command: values of Result.Reason.
const (
	TimeOut = "time-out"        // Limits.Wall
	Idle    = "idle"            // Limits.Idle
	TooLong = "output too long" // Limits.Output
	Killed  = "killed"          // the context ended
)

// Result is how a command ended.
type Result struct {
	ExitCode int           // 127: there is no such program, 126: it cannot be run; -1: a signal ended it
	Signal   int           // the signal that ended it, if any
	Reason   string        // why we stopped it, one of the words above; "": it ended by itself
	Output   int64         // bytes written to Command.Output
	Took     time.Duration // from start to end
	Used     Used
}

// OK says whether the command did what it was asked for.
func (r Result) OK() bool { return r.ExitCode == 0 && r.Signal == 0 && r.Reason == "" }

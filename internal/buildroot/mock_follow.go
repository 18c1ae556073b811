package buildroot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"time"

	"plague"
)

// A build's further logs, such as hw_info.log, are kept up to this much.
const (
	maxMockLogs     = 16
	maxMockLogBytes = 16 << 20
	maxMockState    = 1 << 20 // read of state.log
	mockGulp        = 8 << 20 // of one log at a time: signals and limits are to be seen to
)

// follower copies a file to a log while mock writes it.
type follower struct {
	name string
	to   io.Writer
	file *os.File
	n    int64 // copied
}

// pump copies what has come; more says that there was more than one gulp.
func (f *follower) pump(root *os.Root) (n int64, more bool, err error) {
	if f.file == nil {
		if f.file, err = openRegular(root, f.name); errors.Is(err, fs.ErrNotExist) {
			return 0, false, nil
		}
		if err != nil {
			return 0, false, err
		}
	}
	n, err = io.Copy(f.to, io.LimitReader(f.file, mockGulp))
	f.n += n
	return n, n == mockGulp, err
}

// watch follows all that mock says of one build.
type watch struct {
	root *os.Root // the build's folder
	logs []*follower
	end  *mockEnd

	said, build *tail
	heard       time.Time   // when anything was said last
	state       fs.FileInfo // of the states that were read last
	states      string      // all of them, so far
}

// stateLog is where mock tells its states, and oldStates where mock 0.4 told the one
// that it was in.
const (
	stateLog  = "result/state.log"
	oldStates = "result/status"
)

func (b *mockBuild) watch() (*watch, error) {
	root, err := os.OpenRoot(b.dir)
	if err != nil {
		return nil, err
	}
	w := &watch{root: root, end: &b.end, said: &tail{max: 256 << 10}, build: &tail{max: 64 << 10}, heard: time.Now()}
	w.logs = []*follower{
		{name: "output", to: io.MultiWriter(b.log.Job, w.said)},
		{name: "result/root.log", to: b.log.Root},
		{name: "result/build.log", to: io.MultiWriter(b.log.Build, w.build)},
	}
	return w, nil
}

func (w *watch) close() {
	for _, f := range w.logs {
		if f.file != nil {
			f.file.Close()
		}
	}
	w.root.Close()
}

// look takes in what mock has said since, and tells the phase that it is in. more: it
// has said more than is taken in at a time.
func (w *watch) look(step func(plague.Phase)) (more bool, err error) {
	for _, f := range w.logs {
		n, again, ferr := f.pump(w.root)
		if n > 0 {
			w.heard = time.Now()
		}
		more = more || again
		err = errors.Join(err, ferr)
	}
	err = errors.Join(err, w.readStates())
	step(w.end.at.phase)
	return more, err
}

// readStates takes in what mock says of its states, if that has changed.
func (w *watch) readStates() error {
	for _, name := range []string{stateLog, oldStates} {
		info, err := w.root.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil || w.state != nil && info.ModTime().Equal(w.state.ModTime()) && info.Size() == w.state.Size() {
			return err
		}
		f, err := openRegular(w.root, name)
		if err != nil {
			return err
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, maxMockState))
		if err != nil {
			return err
		}
		if name == stateLog || len(w.states) > maxMockState {
			w.states = ""
		}
		w.states += string(text) + "\n"
		w.state, w.heard, w.end.at = info, time.Now(), readMockState(w.states)
		return nil
	}
	return nil
}

// longest is how much there is of the longest log.
func (w *watch) longest() (n int64) {
	for _, f := range w.logs {
		n = max(n, f.n)
	}
	return n
}

// keepLogs takes further logs that mock has made into the results, such as hw_info.log
// and installed_pkgs.log, as they are.
func (b *mockBuild) keepLogs() error {
	root, err := os.OpenRoot(b.result)
	if err != nil {
		return err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	logName, followed, kept := regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}\.log$`), []string{"root.log", "build.log", "job.log"}, 0
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || !logName.MatchString(e.Name()) || slices.Contains(followed, e.Name()) {
			continue
		}
		if kept++; kept > maxMockLogs || info.Size() > maxMockLogBytes {
			fmt.Fprintf(b.log.Job, "%s of %d bytes is not kept\n", e.Name(), info.Size())
			continue
		}
		if err := copyOut(path.Join(b.out, e.Name()), root, e.Name(), maxMockLogBytes); err != nil {
			return fmt.Errorf("take %s: %w", e.Name(), err)
		}
	}
	return nil
}

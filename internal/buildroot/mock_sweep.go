package buildroot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// scrubTime bounds mock's own clean-up.
const scrubTime = 30 * time.Second

// scrubKilled has mock remove what one that was killed has left in places of its own:
// LVM volumes, mounts of plugins, a cache that is not whole.
func (b *mockBuild) scrubKilled() {
	if err := b.runScrub(b.mockFiles, b.spec, b.end.at.caching, b.log.Job); err != nil {
		fmt.Fprintln(b.log.Job, err) // what is in the build's own folder goes all the same
	}
}

func (m *Mock) runScrub(f mockFiles, s Spec, cache bool, log io.Writer) error {
	argv := m.scrub(f, s, cache)
	ctx, cancel := context.WithTimeout(context.Background(), scrubTime) // the build's own has ended
	defer cancel()
	out, err := os.OpenFile(filepath.Join(f.dir, "scrub"), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := m.process(argv, f.dir, out)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run mock: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	err = cmd.Wait()
	stop()
	if _, serr := out.Seek(0, io.SeekStart); serr == nil {
		io.Copy(log, io.LimitReader(out, 1<<20)) // what it says is for people, who may miss it
	}
	if kerr := killAll(within(f.dir)); kerr != nil {
		return kerr
	}
	if err != nil {
		return fmt.Errorf("mock did not clean up after itself: %w", errors.Join(err, ctx.Err()))
	}
	return nil
}

// Sweep removes what builds left that were killed: all but those whose IDs are live.
func (m *Mock) Sweep(live []string, log *slog.Logger) error {
	builds, err := os.ReadDir(m.Work)
	if errors.Is(err, fs.ErrNotExist) { // nothing was ever built
		return nil
	}
	for _, e := range builds {
		if id := e.Name(); !slices.Contains(live, id) {
			err = errors.Join(err, m.sweep(id, log))
		}
	}
	return err
}

// sweep kills what runs for a build that nobody supervises any more, has mock clean
// up, and removes the rest. Without that clean-up it removes what it knows of.
func (m *Mock) sweep(id string, log *slog.Logger) error {
	dir, err := m.folder(id)
	if err != nil {
		return err
	}
	if err := killAll(within(dir)); err != nil {
		return err
	}
	if configs, _ := filepath.Glob(filepath.Join(dir, "*.cfg")); len(configs) == 1 && len(m.Command) > 0 { // the pattern is right
		if err := m.runScrub(mockFilesIn(dir, configs[0], ""), Spec{ID: id}, wasCaching(dir), io.Discard); err != nil {
			log.Warn("left to itself, mock may keep volumes and mounts", "attempt", id, "error", err)
		}
	}
	return m.remove(id)
}

// wasCaching says whether the mock of a build was writing a cache when it was killed.
func wasCaching(dir string) bool {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false
	}
	defer root.Close()
	w := &watch{root: root, end: &mockEnd{}}
	return w.readStates() == nil && w.end.at.caching
}

// remove removes the folder of a build, when nothing of it runs any more. What is
// mounted there is another's: it is let go of first, or kept.
func (m *Mock) remove(id string) error {
	dir, err := m.folder(id)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := killAll(within(dir)); err != nil {
		return err
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for _, at := range slices.Backward(mountsBelow(table, dir)) {
		if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", at, err)
		}
	}
	return os.RemoveAll(dir)
}

// mountsBelow lists the mounts below a folder in the order that they were made in:
// proc(5), mountinfo.
func mountsBelow(table []byte, dir string) (all []string) {
	octal := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range bytes.Lines(table) {
		words := bytes.Fields(line)
		if len(words) < 5 {
			continue
		}
		if at := octal.Replace(string(words[4])); strings.HasPrefix(at, dir+"/") {
			all = append(all, at)
		}
	}
	return all
}

package durable_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"plague/internal/durable"
)

func open(t *testing.T) *durable.Dir {
	t.Helper()
	d, err := durable.Open(filepath.Join(t.TempDir(), "state"), 0o700)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// steps records what a hook is asked, and refuses everything from call number stop on.
type steps struct {
	stop int // 1 is the first call; 0 never stops
	err  error

	mu    sync.Mutex
	asked []string
}

func (s *steps) hook(op, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, op+" "+name)
	if s.stop > 0 && len(s.asked) >= s.stop {
		return s.err
	}
	return nil
}

var errCrash = errors.New("crashed here")

func read(t *testing.T, d *durable.Dir, name string) string {
	t.Helper()
	data, err := d.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestWriteFileOrder(t *testing.T) {
	d := open(t)
	sub, err := d.Sub("jobs")
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	var s steps
	if err := sub.WithHook(s.hook).WriteFile("a", []byte("four"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The order is the promise: content before name, name before return.
	want := []string{"create jobs/a", "write jobs/a", "write jobs/a", "sync jobs/a", "rename jobs/a", "syncdir jobs"}
	if !slices.Equal(s.asked, want) {
		t.Errorf("steps are\n%q, not\n%q", s.asked, want)
	}
}

func TestWriteFileCrashAtEveryStep(t *testing.T) {
	const before, after = "the old content", "the new content, longer"
	for stop := 1; ; stop++ {
		d := open(t)
		if err := d.WriteFile("a", []byte(before), 0o644); err != nil {
			t.Fatal(err)
		}
		s := steps{stop: stop, err: errCrash}
		err := d.WithHook(s.hook).WriteFile("a", []byte(after), 0o644)
		if err == nil {
			if stop != 7 { // six steps, see TestWriteFileOrder
				t.Errorf("write passed with a crash at step %d", stop)
			}
			return
		}
		if !errors.Is(err, errCrash) {
			t.Errorf("stop at %d: error %v", stop, err)
		}
		want := before
		if stop == 6 { // renamed, the folder not synced
			want = after
		}
		if got := read(t, d, "a"); got != want {
			t.Errorf("stop at %d (%s): file holds %q", stop, s.asked[stop-1], got)
		}
		if err := d.Sweep(0); err != nil {
			t.Fatal(err)
		}
		if got := names(t, d); !slices.Equal(got, []string{"a"}) {
			t.Errorf("stop at %d: after the sweep there is %q", stop, got)
		}
	}
}

func names(t *testing.T, d *durable.Dir) []string {
	t.Helper()
	var all []string
	if err := d.Walk(".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			all = append(all, name)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestDiskFullLeavesNothing(t *testing.T) {
	for _, op := range []string{durable.OpCreate, durable.OpWrite, durable.OpSync, durable.OpRename} {
		d := open(t)
		full := d.WithHook(func(o, _ string) error {
			if o == op {
				return syscall.ENOSPC
			}
			return nil
		})
		if err := full.WriteFile("a", []byte("content"), 0o644); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s on a full disk: %v", op, err)
		}
		if got := names(t, d); len(got) != 0 {
			t.Errorf("%s on a full disk left %q", op, got)
		}
	}
}

func TestRealDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mounting a small tmpfs needs root: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	d, err := durable.Open(dir, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	free, err := d.Free()
	if err != nil || free == 0 || free > 64<<10 {
		t.Errorf("Free() = %d, %v on 64 KiB", free, err)
	}
	if err := d.WriteFile("big", make([]byte, 1<<20), 0o644); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("1 MiB on 64 KiB: %v", err)
	}
	if got := names(t, d); len(got) != 0 {
		t.Errorf("a full disk left %q", got)
	}
}

func TestModesIgnoreTheUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	d := open(t)
	sub, err := d.Sub("a/b")
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if err := sub.WriteFile("world", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	log, err := sub.OpenAppend("log", 0o640)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if err := errors.Join(sub.Touch("mark", 0o604), sub.Touch("world", 0o600)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{
		".": 0o700, "a": 0o755, "a/b": 0o755, "a/b/world": 0o644, "a/b/log": 0o640, "a/b/mark": 0o604,
	} {
		info, err := d.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, not %o", name, got, want)
		}
	}
}

func TestNothingLeadsOutside(t *testing.T) {
	d := open(t)
	secret := filepath.Join(filepath.Dir(d.Path()), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Symlink("../secret", "link"); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteFile("mine", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../secret", "link", secret} {
		_, readErr := d.ReadFile(name)
		_, appendErr := d.OpenAppend(name, 0o644)
		_, _, copyErr := d.OpenCopy(name, 0o644)
		_, subErr := d.Sub(name)
		for what, err := range map[string]error{"read": readErr, "append": appendErr, "copy": copyErr, "sub": subErr} {
			if err == nil {
				t.Errorf("%s of %s went outside", what, name)
			}
		}
	}
	for what, err := range map[string]error{
		"write":     d.WriteFile("../x", nil, 0o644),
		"touch":     d.Touch("../x", 0o644),
		"rename":    d.Rename("mine", "../x"),
		"link":      d.Link("../secret", "x"),
		"chmod":     d.Chmod("../secret", 0o777),
		"remove":    d.Remove("../secret"),
		"removeall": d.RemoveAll("../secret"),
		"mkdir":     d.MkdirAll("../y/z", 0o755),
	} {
		if err == nil {
			t.Errorf("%s went outside", what)
		}
	}
	if got, err := os.ReadFile(secret); string(got) != "secret" || err != nil {
		t.Errorf("the secret is %q, %v", got, err)
	}
	if got, want := d.Path("../../etc", "passwd"), d.Path("etc/passwd"); got != want {
		t.Errorf("Path gave %s, not %s", got, want)
	}
}

func TestAppendTornAndResumed(t *testing.T) {
	d := open(t)
	s := steps{stop: 4, err: errCrash} // create, syncdir, first half | second half
	a, err := d.WithHook(s.hook).OpenAppend("journal", 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := a.Write([]byte("one line\n")); n != 4 || !errors.Is(err, errCrash) {
		t.Errorf("torn write wrote %d, %v", n, err)
	}
	for what, err := range map[string]error{"sync": a.Sync(), "truncate": a.Truncate(0), "chmod": a.Chmod(0o400)} {
		if !errors.Is(err, errCrash) {
			t.Errorf("%s after the crash: %v", what, err)
		}
	}
	a.Close()
	if got := read(t, d, "journal"); got != "one " {
		t.Errorf("journal holds %q", got)
	}

	b, err := d.OpenAppend("journal", 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Truncate(0); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(b, "whole")
	if err := b.Sync(); err != nil {
		t.Fatal(err)
	}
	if info, err := b.Stat(); err != nil || info.Size() != 6 {
		t.Errorf("stat %v, %v", info, err)
	}
	if err := d.WriteFile("journal", nil, 0o600); err != nil { // another file of that name
		t.Fatal(err)
	}
	if err := b.Chmod(0o400); err != nil {
		t.Fatal(err)
	}
	if info, err := b.Stat(); err != nil || info.Mode() != 0o400 {
		t.Errorf("stat %v, %v", info, err)
	}
	if info, err := d.Stat("journal"); err != nil || info.Mode() != 0o600 {
		t.Errorf("the wrong file was changed: %v, %v", info, err)
	}
	part := make([]byte, 5)
	if _, err := b.ReadAt(part, 1); err != nil || string(part) != "hole\n" {
		t.Errorf("read %q, %v", part, err)
	}
}

func TestRenameSyncsBothFolders(t *testing.T) {
	d := open(t)
	for _, name := range []string{"from", "to"} {
		if err := d.MkdirAll(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.WriteFile("from/a", []byte("a"), 0o644); err != nil {
		t.Fatal(err)
	}
	var s steps
	if err := d.WithHook(s.hook).Rename("from/a", "to/b"); err != nil {
		t.Fatal(err)
	}
	if want := []string{"rename to/b", "syncdir to", "syncdir from"}; !slices.Equal(s.asked, want) {
		t.Errorf("steps are %q", s.asked)
	}
	if got := read(t, d, "to/b"); got != "a" {
		t.Errorf("moved file holds %q", got)
	}
}

// TestReplaceOfTheSameFile: rename(2) leaves both names of one file as they are.
func TestReplaceOfTheSameFile(t *testing.T) {
	d, err := durable.Open(t.TempDir(), 0o755)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := errors.Join(d.WriteFile("name", []byte("text"), 0o644), d.Link("name", "next"), d.Replace("next", "name")); err != nil {
		t.Fatal(err)
	}
	if files, err := d.ReadDir("."); err != nil || len(files) != 1 || files[0].Name() != "name" {
		t.Errorf("there are %v, %v", files, err)
	}
}

func TestFoldersAreOnTheDiskWithAllAbove(t *testing.T) {
	d := open(t)
	var s steps
	if err := d.WithHook(s.hook).MkdirAll("a/b/c", 0o755); err != nil {
		t.Fatal(err)
	}
	if want := []string{"mkdir a", "mkdir a/b", "mkdir a/b/c", "syncdir a/b", "syncdir a", "syncdir ."}; !slices.Equal(s.asked, want) {
		t.Errorf("steps are %q", s.asked)
	}
	s.asked = nil
	made, err := d.WithHook(s.hook).Mkdirs("a/b/c", 0o700)
	if info, _ := d.Stat("a/b/c"); err != nil || made || len(s.asked) > 0 || info.Mode().Perm() != 0o755 {
		t.Errorf("one that is there: made %v, %v, %q", made, err, s.asked)
	}
	if made, err := d.WithHook(s.hook).Mkdirs("a/d", 0o755); err != nil || !made || !slices.Equal(s.asked, []string{"mkdir a/d"}) {
		t.Errorf("one of a crowd: made %v, %v, %q", made, err, s.asked)
	}
}

func TestEveryChangeAsksTheHook(t *testing.T) {
	d := open(t)
	if err := d.WriteFile("a", []byte("a"), 0o644); err != nil {
		t.Fatal(err)
	}
	log, err := d.OpenAppend("log", 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	dead := d.WithHook(func(string, string) error { return errCrash })
	_, createErr := dead.Create("n", 0o644)
	_, appendErr := dead.OpenAppend("n", 0o644)
	_, _, copyErr := dead.OpenCopy("n", 0o644)
	_, subErr := dead.Sub("n")
	for what, err := range map[string]error{
		"create": createErr, "append": appendErr, "copy": copyErr, "sub": subErr,
		"write": dead.WriteFile("a", nil, 0o644), "rename": dead.Rename("a", "n"), "link": dead.Link("a", "n"),
		"symlink": dead.Symlink("a", "n"), "chmod": dead.Chmod("a", 0o600), "remove": dead.Remove("a"),
		"removeall": dead.RemoveAll("a"), "mkdir": dead.MkdirAll("n/m", 0o755), "syncdir": dead.SyncDir("."),
		"touch": dead.Touch("n", 0o644),
	} {
		if !errors.Is(err, errCrash) {
			t.Errorf("%s is not asked about: %v", what, err)
		}
	}
	if got := names(t, d); !slices.Equal(got, []string{"a", "log"}) {
		t.Errorf("a dead process left %q", got)
	}
	if info, _ := d.Stat("a"); info.Mode().Perm() != 0o644 || info.Size() != 1 {
		t.Errorf("a dead process changed a file: %v", info)
	}
	if err := dead.MkdirAll(".", 0o755); err != nil {
		t.Errorf("a folder that is there changes nothing, yet: %v", err)
	}
}

func TestSweepKeepsTheYoung(t *testing.T) {
	d := open(t)
	for _, name := range []string{".new-tree/x", "in/.new-old", "in/kept.new-", "in/.new-young"} {
		if err := d.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := d.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{".new-tree", "in/.new-old", "in/kept.new-"} {
		if err := os.Chtimes(d.Path(name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Sweep(time.Hour); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, d), []string{"in/.new-young", "in/kept.new-"}; !slices.Equal(got, want) {
		t.Errorf("left %q, not %q", got, want)
	}
}

func TestFIFODoesNotBlockItsReader(t *testing.T) {
	d := open(t)
	if err := syscall.Mkfifo(d.Path("pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := read(t, d, "pipe"); got != "" {
		t.Errorf("read %q", got)
	}
}

func TestConcurrentWritersLeaveOneWhole(t *testing.T) {
	d := open(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			sub, err := d.Sub("shared/folder")
			if err != nil {
				t.Error(err)
				return
			}
			defer sub.Close()
			if err := sub.WriteFile("a", []byte(strings.Repeat(string(rune('a'+i)), 10000)), 0o644); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got := read(t, d, "shared/folder/a")
	if len(got) != 10000 || strings.Trim(got, got[:1]) != "" {
		t.Errorf("file of %d bytes is a mixture", len(got))
	}
}

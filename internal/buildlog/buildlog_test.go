package buildlog_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"plague"
	"plague/internal/buildlog"
	"plague/internal/durable"
)

func folder(t *testing.T) *durable.Dir {
	t.Helper()
	d, err := durable.Open(filepath.Join(t.TempDir(), "logs"), 0o755)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func create(t *testing.T, d *durable.Dir, max int64) *buildlog.Writer {
	t.Helper()
	w, err := buildlog.Create(d, "build.log", max)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func say(t *testing.T, w *buildlog.Writer, text string) {
	t.Helper()
	if n, err := w.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("wrote %d of %d bytes, %v", n, len(text), err)
	}
}

func content(t *testing.T, d *durable.Dir) string {
	t.Helper()
	data, err := d.ReadFile("build.log")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func isEnded(t *testing.T, d *durable.Dir) bool {
	t.Helper()
	info, err := d.Stat("build.log")
	if err != nil {
		t.Fatal(err)
	}
	return buildlog.Ended(info)
}

func TestWriterGoesOn(t *testing.T) {
	d := folder(t)
	w := create(t, d, 1000)
	say(t, w, "one\n")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if isEnded(t, d) {
		t.Error("a writer that let go has ended the log")
	}
	w = create(t, d, 1000)
	if w.Size() != 4 {
		t.Errorf("goes on at %d", w.Size())
	}
	say(t, w, "two\n")
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	if !isEnded(t, d) {
		t.Error("the log has not ended")
	}
	if err := w.Close(); err != nil {
		t.Errorf("close after end: %v", err)
	}
	if _, err := w.Write([]byte("late")); err == nil {
		t.Error("wrote to a closed log")
	}
	if _, err := buildlog.Create(d, "build.log", 1000); !errors.Is(err, plague.ErrConflict) {
		t.Errorf("writing on after the end: %v", err)
	}
	if !isEnded(t, d) {
		t.Error("the attempt to write on took the end away")
	}
	if got, want := content(t, d), "one\ntwo\n"; got != want {
		t.Errorf("log is %q, not %q", got, want)
	}
}

// For a moment two servers believe that they lead, and tail the same log.
func TestTwoCopyTheSame(t *testing.T) {
	d := folder(t)
	say(t, create(t, d, 1000), "one\n")
	first, second := create(t, d, 1000), create(t, d, 1000)
	say(t, first, "two\n")
	say(t, second, "two\nthree\n")
	late := create(t, d, 1000)
	say(t, first, "three\nfour\n")
	say(t, late, "four\nfive\n")
	say(t, second, "four\n")
	if got, want := content(t, d), "one\ntwo\nthree\nfour\nfive\n"; got != want {
		t.Errorf("log is %q, not %q", got, want)
	}
}

const cut = "0123456789\n[plague: this log is cut here, at its limit of 10 bytes]\n"

func TestWriterCuts(t *testing.T) {
	for _, pieces := range [][]string{
		{"0123456789ABC", "DE"},
		{"0123456789", "ABCDE"},
		{"01234", "56789A", "B", "C", "D", "E"},
	} {
		d := folder(t)
		w := create(t, d, 10)
		for _, p := range pieces {
			say(t, w, p)
		}
		if got := content(t, d); got != cut || w.Size() != int64(len(cut)) || w.Dropped() != 5 {
			t.Errorf("%q: log is %q, size %d, dropped %d", pieces, got, w.Size(), w.Dropped())
		}
	}
	d := folder(t)
	w := create(t, d, 10)
	say(t, w, "0123456789")
	if err := w.End(); err != nil || content(t, d) != "0123456789" || w.Dropped() != 0 {
		t.Errorf("a log of just its limit is %q, %v", content(t, d), err)
	}
}

// Wherever a crash or a full disk tears a write, the next writer goes on there and
// the limit is announced once.
func TestWriterTornAnywhere(t *testing.T) {
	for stop := 0; ; stop++ {
		d := folder(t)
		create(t, d, 10).Close()
		writes := 0
		w := create(t, d.WithHook(func(op, _ string) error {
			if op != durable.OpWrite {
				return nil
			}
			if writes++; writes > stop {
				return syscall.ENOSPC
			}
			return nil
		}), 10)
		text := "0123456789ABCDE"
		n, err := w.Write([]byte(text))
		w.Close()
		if err == nil {
			if stop != 4 { // the halves of the text and of the line
				t.Errorf("passed with %d writes allowed", stop)
			}
			return
		}
		if !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, plague.ErrUnavailable) {
			t.Errorf("stop at %d: %v", stop, err)
		}
		if size := int64(len(content(t, d))); w.Size() != size {
			t.Errorf("stop at %d: writer says %d bytes, file has %d", stop, w.Size(), size)
		}
		say(t, create(t, d, 10), text[n:])
		if got := content(t, d); got != cut {
			t.Errorf("stop at %d: log is %q", stop, got)
		}
	}
}

func TestLogHasNoHoles(t *testing.T) {
	full := true
	d := folder(t).WithHook(func(op, _ string) error {
		if op == durable.OpWrite && full {
			return syscall.ENOSPC
		}
		return nil
	})
	w := create(t, d, 100)
	if _, err := w.Write([]byte("one\n")); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("write to a full disk: %v", err)
	}
	full = false
	if n, err := w.Write([]byte("two\n")); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write behind what is missing: %d, %v", n, err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := content(t, d); got != "" {
		t.Errorf("log is %q", got)
	}
	say(t, create(t, d, 100), "one\n") // the next writer goes on where it ended
}

func TestWriterLimitWasLowered(t *testing.T) {
	d := folder(t)
	w := create(t, d, 1000)
	say(t, w, strings.Repeat("x", 500))
	w.Close()
	w = create(t, d, 100)
	say(t, w, "more")
	say(t, w, "and more")
	want := strings.Repeat("x", 500) + "\n[plague: this log is cut here, at its limit of 500 bytes]\n"
	if got := content(t, d); got != want || w.Dropped() != 12 {
		t.Errorf("log is %q, dropped %d", got, w.Dropped())
	}
}

func TestHubHasOneWriter(t *testing.T) {
	d := folder(t)
	var hub buildlog.Hub
	w, err := hub.Writer(d, "build.log", 100)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hub.Writer(d, "build.log", 100); !errors.Is(err, plague.ErrConflict) {
		t.Errorf("a second writer: %v", err)
	}
	other, err := hub.Writer(d, "root.log", 100)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w, err = hub.Writer(d, "build.log", 100)
	if err != nil {
		t.Fatalf("the next writer: %v", err)
	}
	w.Close()
	if _, err := hub.Writer(d, "no/such/folder", 100); err == nil || errors.Is(err, plague.ErrConflict) {
		t.Errorf("a log in no folder: %v", err)
	}
	if _, err := hub.Writer(d, "no/such/folder", 100); errors.Is(err, plague.ErrConflict) {
		t.Error("a writer that could not begin is in the way")
	}
}

func TestTail(t *testing.T) {
	numbered := func(from, to int) (lines []string) {
		for i := from; i <= to; i++ {
			lines = append(lines, fmt.Sprintf("line %04d", i)) // 10 bytes with its newline
		}
		return lines
	}
	for _, tt := range []struct {
		name, text string
		lines      int
		max        int64
		want       []string
	}{
		{"empty", "", 30, 4096, nil},
		{"one newline", "\n", 30, 4096, nil},
		{"short", "a\nb\n", 30, 4096, []string{"a", "b"}},
		{"unfinished line", "a\nb", 30, 4096, []string{"a", "b"}},
		{"empty lines count", "a\n\n\nb\n", 3, 4096, []string{"", "", "b"}},
		{"by lines", strings.Join(numbered(1, 100), "\n"), 30, 4096, numbered(71, 100)},
		{"by bytes, in a line", strings.Join(numbered(1, 100), "\n") + "\n", 30, 55, numbered(96, 100)},
		{"by bytes, at a line", strings.Join(numbered(1, 100), "\n") + "\n", 30, 50, numbered(96, 100)},
		{"just the bytes", "0123456789", 30, 10, []string{"0123456789"}},
		{"one endless line", strings.Repeat("x", 100), 30, 10, []string{strings.Repeat("x", 10)}},
	} {
		d := folder(t)
		if err := d.WriteFile("build.log", []byte(tt.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := buildlog.Tail(d, "build.log", tt.lines, tt.max); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, %v, not %q", tt.name, got, err, tt.want)
		}
	}
	if _, err := buildlog.Tail(folder(t), "build.log", 30, 4096); !errors.Is(err, plague.ErrNotFound) {
		t.Errorf("no log: %v", err)
	}
}

// The artifact takes the place of the tailed file under its name, perhaps before
// the tail knows: the end is marked on the file that was followed.
func TestEndOfAFileThatWasReplaced(t *testing.T) {
	d := folder(t)
	w := create(t, d, 1000)
	say(t, w, "text")
	f, err := d.Open("build.log")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := d.WriteFile("build.log", []byte("another text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	if info, err := f.Stat(); err != nil || !buildlog.Ended(info) {
		t.Errorf("the followed file has not ended: %v, %v", info, err)
	}
	if isEnded(t, d) {
		t.Error("another file has ended")
	}
}

func opener(d *durable.Dir) func() (*os.File, error) {
	return func() (*os.File, error) { return d.Open("build.log") }
}

package builder

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"plague"
	"plague/internal/buildroot"
	"plague/internal/durable"

	"golang.org/x/sys/unix"
)

// What the daemon may put on the way to an attempt's folder leads root nowhere.
func TestOpenFolderFollowsNothing(t *testing.T) {
	for name, lay := range map[string]func(work, foreign string) error{
		"the daemon's own folder is a link": func(work, foreign string) error {
			return os.Symlink(foreign, filepath.Join(work, "daemon"))
		},
		"the attempts are a link": func(work, foreign string) error {
			return link(foreign, filepath.Join(work, "daemon", "attempts"))
		},
		"the attempts are a link within": func(work, foreign string) error {
			if err := os.MkdirAll(filepath.Join(work, "cache", "1-1"), 0o755); err != nil {
				return err
			}
			return link("../cache", filepath.Join(work, "daemon", "attempts"))
		},
		"the attempt is a link": func(work, foreign string) error {
			return link(filepath.Join(foreign, "1-1"), filepath.Join(work, "daemon", "attempts", "1-1"))
		},
		"the attempt is a file": func(work, foreign string) error {
			if err := os.MkdirAll(filepath.Join(work, "daemon", "attempts"), 0o755); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(work, "daemon", "attempts", "1-1"), nil, 0o644)
		},
	} {
		t.Run(name, func(t *testing.T) {
			work, foreign := t.TempDir(), t.TempDir()
			if err := os.MkdirAll(filepath.Join(foreign, "attempts", "1-1"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(foreign, "1-1"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := lay(work, foreign); err != nil {
				t.Fatal(err)
			}
			opens(t, work, "daemon/attempts/1-1", false)
		})
	}
	work := t.TempDir()
	if err := os.MkdirAll(filepath.Join(work, "daemon", "attempts"), 0o755); err != nil {
		t.Fatal(err)
	}
	opens(t, work, "daemon/attempts", true)
	opens(t, work, ".", true)
	opens(t, work, "../", false)
	opens(t, work, "daemon/../../", false)
	opens(t, work, "/tmp", false)
}

// opens says whether a folder can be opened, in this kernel's way and in an older one's.
func opens(t *testing.T, work, name string, want bool) {
	t.Helper()
	top, err := os.Open(work)
	if err != nil {
		t.Fatal(err)
	}
	defer top.Close()
	for way, open := range map[string]func(int, string) (int, error){"openat2": openBeneath, "by step": openByStep} {
		fd, err := open(int(top.Fd()), name)
		if (err == nil) != want {
			t.Errorf("%s %s: %v", name, way, err)
		}
		if err == nil {
			unix.Close(fd)
		}
	}
}

// A folder is made and given away, and a link in its place is neither followed nor
// given away.
func TestMakeFollowsNothing(t *testing.T) {
	work, foreign := t.TempDir(), t.TempDir()
	in, err := OpenFolder(work, ".")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for range 2 { // the second time it is there
		if err := in.Make("attempts", os.Getuid(), os.Getgid()); err != nil {
			t.Error(err)
		}
	}
	if err := swap(filepath.Join(work, "attempts"), func(name string) error { return os.Symlink(foreign, name) }); err != nil {
		t.Fatal(err)
	}
	if err := in.Make("attempts", os.Getuid(), os.Getgid()); err == nil {
		t.Error("a link was taken for the folder")
	}
}

// What took the socket's place is not given to the daemon, a hard link to a socket
// of root's included.
func TestSocketIsGivenAlone(t *testing.T) {
	for name, lay := range map[string]func(name, foreign string) error{
		"a symbolic link": func(name, foreign string) error { return os.Symlink(foreign, name) },
		"a hard link":     func(name, foreign string) error { return os.Link(foreign, name) },
		"a file":          func(name, _ string) error { return os.WriteFile(name, nil, 0o600) },
	} {
		dir, foreign := t.TempDir(), filepath.Join(t.TempDir(), "socket")
		l, err := net.Listen("unix", foreign)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if err := lay(filepath.Join(dir, controlFile), foreign); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := giveSocket(int(f.Fd()), os.Getuid()); err == nil {
			t.Errorf("%s was given away", name)
		}
	}
}

// What the daemon cannot read itself, root does not read for it.
func TestSuperviseReadsTheDaemonsAlone(t *testing.T) {
	d, err := durable.Open(t.TempDir(), 0o755)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.WriteFile(recordFile, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for uid, want := range map[int]bool{-1: true, os.Getuid(): true, os.Getuid() + 1: false} {
		f, err := (&Supervision{Dir: d, FetchUID: uid}).regular(recordFile)
		if (err == nil) != want {
			t.Errorf("of uid %d, asked for as uid %d: %v", os.Getuid(), uid, err)
		}
		if err == nil {
			f.Close()
		}
	}
}

func link(to, name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.Symlink(to, name)
}

// A folder that was opened stays what it was when another takes its name.
func TestFolderStaysWhatItWas(t *testing.T) {
	work := t.TempDir()
	if err := os.Mkdir(filepath.Join(work, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFolder(work, "a")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Rename(filepath.Join(work, "a"), filepath.Join(work, "b")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), filepath.Join(work, "a")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.Path(), "it"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(work, "b", "it")); err != nil {
		t.Error(err)
	}
}

// Links and FIFOs in the place of an attempt's own files neither lead the
// supervisor outside nor hold it up: the attempt fails.
func TestSuperviseFollowsNothing(t *testing.T) {
	for name, lay := range map[string]func(dir, foreign string) error{
		"source is a link": func(dir, foreign string) error {
			return swap(filepath.Join(dir, srpmFile), func(name string) error { return os.Symlink(filepath.Join(foreign, "secret"), name) })
		},
		"source is a FIFO": func(dir, foreign string) error {
			return swap(filepath.Join(dir, srpmFile), func(name string) error { return syscall.Mkfifo(name, 0o666) })
		},
		"files are a link": func(dir, foreign string) error {
			return swap(filepath.Join(dir, filesDir), func(name string) error { return os.Symlink(foreign, name) })
		},
		"record is a link": func(dir, foreign string) error {
			return swap(filepath.Join(dir, recordFile), func(name string) error { return os.Symlink(filepath.Join(foreign, "secret"), name) })
		},
		"record is a FIFO": func(dir, foreign string) error {
			return swap(filepath.Join(dir, recordFile), func(name string) error { return syscall.Mkfifo(name, 0o666) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, foreign := t.TempDir(), t.TempDir()
			record, err := json.Marshal(record{ID: plague.AttemptID{ArchJob: 1, Number: 1}, Work: plague.Work{Arch: "x86_64"}})
			if err != nil {
				t.Fatal(err)
			}
			for file, data := range map[string][]byte{filepath.Join(dir, recordFile): record, filepath.Join(dir, srpmFile): nil, filepath.Join(foreign, "secret"): record} {
				if err := os.WriteFile(file, data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Mkdir(filepath.Join(dir, filesDir), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := lay(dir, foreign); err != nil {
				t.Fatal(err)
			}
			d, err := durable.Open(dir, 0o755)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			err = Supervise(t.Context(), Supervision{Dir: d, Backend: buildroot.Null{}, FetchUID: -1, News: func(News) {}})
			outcome, _ := os.ReadFile(filepath.Join(dir, outcomeFile)) // without a record there is none
			said := fmt.Sprint(string(outcome), err)
			if !strings.Contains(said, "path escapes from parent") && !strings.Contains(said, "is no regular file") {
				t.Errorf("it came to %s", said)
			}
			if entries, err := os.ReadDir(foreign); err != nil || len(entries) != 1 {
				t.Errorf("the foreign folder holds %v, %v", entries, err)
			}
		})
	}
}

func swap(name string, lay func(name string) error) error {
	if err := os.RemoveAll(name); err != nil {
		return err
	}
	return lay(name)
}

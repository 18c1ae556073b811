package server

import (
	"errors"
	"path"
	"strings"
	"testing"

	"plague"
	"plague/internal/durable"
)

// TestShowLog: at whatever instant the results of an attempt are laid while its log is
// being shown, what is shown in the end is what was laid; and no log of an older
// attempt takes the place of a newer one's.
func TestShowLog(t *testing.T) {
	const name, growing, laid = "job.log", "it grows\n", "it grows\nand ends\n"
	ops := 0
	for at := 0; at <= ops; at++ {
		results, err := durable.Open(t.TempDir(), 0o755)
		if err != nil {
			t.Fatal(err)
		}
		defer results.Close()
		j := plague.Job{UID: 7, Target: "lab-12-extras", Package: "hello", Version: "1", Release: "1"}
		put := func(dir, text string) {
			t.Helper()
			if err := results.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := results.WriteFile(path.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		older, newer, arch := attemptDir(j, "x86_64", 1, 10), attemptDir(j, "x86_64", 2, 1), path.Join(ResultDir(j), "x86_64")
		put(older, "of old\n")
		put(newer, growing)
		put(arch, "of old\n")
		lay := func() { // as layIn does it
			put(newer, laid)
			next := path.Join(arch, durable.TempPrefix+name)
			if err := errors.Join(results.Link(path.Join(newer, name), next), results.Replace(next, path.Join(arch, name))); err != nil {
				t.Fatal(err)
			}
		}
		asked, want := 0, growing
		hooked := results.WithHook(func(_, file string) error {
			if asked++; asked == at {
				lay()
				want = laid
			}
			ops = max(ops, asked)
			return nil
		})
		for _, who := range []string{"the newer's tail", "the older's, late"} {
			if err := showLog(hooked, j, "x86_64", name); err != nil {
				t.Fatalf("%s, results laid at operation %d: %v", who, at, err)
			}
			if got, err := results.ReadFile(path.Join(arch, name)); string(got) != want {
				t.Errorf("%s, results laid at operation %d: shown is %q, %v", who, at, got, err)
			}
		}
		files, err := results.ReadDir(arch)
		if err != nil || len(files) != 1 || strings.HasPrefix(files[0].Name(), durable.TempPrefix) {
			t.Errorf("left behind: %v, %v", files, err)
		}
	}
	if ops < 2 {
		t.Errorf("%d operations: nothing can come between", ops)
	}
}

package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"

	"plague/internal/bench"
	"plague/internal/store/storetest"
)

// A measurement makes a farm of real processes, gets its figures, and leaves
// nothing behind.
func TestBench(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("builders have to be started as root")
	}
	dir, err := os.MkdirTemp("", "bench-test-") // t.TempDir lies below a folder that no other account may enter
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := run(t.Context(), "plague", []string{"bench", "--dir", dir, "--only", "disk,chain", "--json"}, Streams{Out: &out, Err: &errs})
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	var answer struct{ Figures []bench.Figure }
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil || len(answer.Figures) != 2 {
		t.Fatalf("%v: %s", err, out.String())
	}
	for _, f := range answer.Figures {
		if f.Value["p50"] <= 0 || f.Value["p99"] < f.Value["p50"] || f.Value["n"] < 10 {
			t.Errorf("%+v", f)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v (%v)", left, err)
	}
}

// A farm of simulated builders, of which some die, loses nothing, and says how it was.
func TestBenchFarm(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("farms are made as root")
	}
	t.Run("SQLite", func(t *testing.T) { measureFarm(t) })
	t.Run("PostgreSQL", func(t *testing.T) {
		cluster, err := storetest.Start(false)
		if errors.Is(err, storetest.ErrAbsent) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer cluster.Stop()
		measureFarm(t, "--postgres", lendSocket(t, cluster.Database(t)))
	})
}

// lendSocket lets the server's account reach a cluster, whose folder is its own.
func lendSocket(t *testing.T, dsn string) string {
	account, err := ensureAccount("plague-server")
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	dir := at.Query().Get("host")
	if err := errors.Join(os.Chown(dir, -1, int(account.Gid)), os.Chmod(dir, 0o710)); err != nil {
		t.Fatal(err)
	}
	return dsn
}

func measureFarm(t *testing.T, more ...string) {
	dir, err := os.MkdirTemp("", "bench-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	args := strings.Fields("bench farm --builders 8 --jobs 120 --published 5 --mean 20ms --deaths 100 --json --dir " + dir)
	if code := run(t.Context(), "plague", append(args, more...), Streams{Out: &out, Err: &errs}); code != 0 {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	var answer struct{ Figures []bench.Figure }
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil || len(answer.Figures) < 5 {
		t.Fatalf("%v: %s", err, out.String())
	}
	for _, f := range answer.Figures[:2] {
		if f.Value["whole"] <= 0 && f.Value["n"] != 125 {
			t.Errorf("%+v", f)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v (%v)", left, err)
	}
}

func TestBenchRefuses(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("without root everything is refused")
	}
	for args, want := range map[string]string{
		"--only speed":  "the names are disk, begun",
		"--jobs 10":     "give 1000 at least",
		"farm --jobs 1": "100 --jobs at least",
	} {
		var errs bytes.Buffer
		code := run(t.Context(), "plague", append([]string{"bench", "--dir", t.TempDir()}, strings.Fields(args)...), Streams{Out: &errs, Err: &errs})
		if code != 2 || !strings.Contains(errs.String(), want) {
			t.Errorf("%s: exit %d: %s", args, code, errs.String())
		}
	}
}

package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDoctorBeforeJoining: without a configuration the machine is looked at all the same,
// each lack has a remedy, and nothing is left behind.
func TestDoctorBeforeJoining(t *testing.T) {
	var out, errs bytes.Buffer
	code := Main(t.Context(), []string{"plague", "doctor", "--json", "-c", filepath.Join(t.TempDir(), "none.cfg")}, Streams{Out: &out, Err: &errs})
	var all []map[string]string
	if err := json.Unmarshal(out.Bytes(), &all); err != nil || code != 1 || errs.Len() > 0 {
		t.Fatalf("exit %d, %v, %s%s", code, err, out.String(), errs.String())
	}
	seen := map[string]map[string]string{}
	for _, f := range all {
		seen[f["name"]] = f
	}
	if f := seen["configuration"]; f["verdict"] != verdictLacks || f["remedy"] == "" {
		t.Errorf("%v", f)
	}
	for _, name := range []string{"root", "builder_user", "work_dir", "sandbox", "programs", "dnf", "sources"} {
		if f := seen[name]; f["seen"] == "" || f["verdict"] == verdictOK && f["remedy"] != "" {
			t.Errorf("%s: %v", name, f)
		}
	}
	if os.Geteuid() == 0 && seen["sandbox"]["verdict"] != verdictOK {
		t.Errorf("%v", seen["sandbox"])
	}
}

// TestDoctorFindsKeys: a key that others can read, and a certificate of the wrong role,
// are lacks with a command to type.
func TestDoctorFindsKeys(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	file, key := f.file("builder", "builder1.cfg"), f.file("builder", "private", "builder1_key_and_cert.pem")
	says := func(want ...string) {
		t.Helper()
		out, _, err := f.command("", "doctor", "-c", file)
		if err == nil {
			t.Error("it ends with 0")
		}
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("no %q in\n%s", w, out)
			}
		}
	}
	says("ok    certificate: ", "lacks server https://", "it cannot be reached")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	says("lacks certificate: the private key in "+key+" can be read by others", "-> run: chmod 600 "+key)
	if err := os.WriteFile(key, mustRead(t, f.file("server", "certs", "server_key_and_cert.pem")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(key, 0o600); err != nil {
		t.Fatal(err)
	}
	says("lacks certificate: ", "has the role server, and here only the role builder will do")
}

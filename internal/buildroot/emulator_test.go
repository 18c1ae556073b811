package buildroot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// entry is the emulator of aarch64 as the kernel shows it.
const entry = `enabled
interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P
flags: POF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
`

func TestEmulator(t *testing.T) {
	with := func(old, new string) map[string]string {
		return map[string]string{"status": "enabled\n", "qemu-aarch64": strings.Replace(entry, old, new, 1)}
	}
	both := with("flags: POF", "flags: PO")
	both["ours"] = entry
	for _, tt := range []struct {
		name, arch string
		table      map[string]string
		want       string // part of the error; empty: it runs
	}{
		{"registered", "aarch64", with("", ""), ""},
		{"without a mask", "aarch64", with("0200b700\nmask ffffffffffffff00fffffffffffffffffeffffff", "0300b700"), ""},
		{"one of two is there in each buildroot", "aarch64", both, ""},
		{"nothing is mounted", "aarch64", nil, "mount -t binfmt_misc"},
		{"all are off", "aarch64", map[string]string{"status": "disabled\n", "qemu-aarch64": entry}, "echo 1 >"},
		{"it is off", "aarch64", with("enabled", "disabled"), "apt-get install qemu-user-static"},
		{"for another arch", "riscv64", with("", ""), "programs of riscv64 do not run on this machine: no emulator"},
		{"for the other order of bytes", "ppc64", with("0201010000000000000000000200b700", "02010100000000000000000002001500"), "no emulator"},
		{"for programs at a fixed place alone", "aarch64", with("feffffff\n", "ffffffff\n"), "no emulator"},
		{"for an extension", "aarch64", with("offset 0\nmagic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff", "extension .py"), "no emulator"},
		{"for what lies further in", "aarch64", with("offset 0", "offset 4"), "no emulator"},
		{"looked for in the buildroot", "aarch64", with("POF", "PO"), "register it with the flag F"},
		{"no table of the kernel's", "aarch64", with("magic 7f", "magic x"), `"magic x454c`},
		{"an arch that nobody knows", "vax", with("", ""), "no emulator for it is known here"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range tt.table {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			err := emulator(dir, tt.arch)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestEmulated(t *testing.T) {
	for arch, want := range map[string]bool{"x86_64": false, "amd64": false, "i686": false, "i386": false, "noarch": false, "aarch64": true, "armv7hl": true, "s390x": true} {
		if got := emulated("amd64", arch); got != want {
			t.Errorf("%s on x86_64: emulated %v", arch, got)
		}
	}
	for arch, want := range map[string]bool{"aarch64": false, "armv7hl": false, "x86_64": true} {
		if got := emulated("arm64", arch); got != want {
			t.Errorf("%s on aarch64: emulated %v", arch, got)
		}
	}
	if !emulated("386", "x86_64") || emulated("386", "i686") {
		t.Error("i386 runs what it does not, or not what it does")
	}
	if emulated("s390x", "s390x") {
		t.Error("a machine without a sandbox is none to ask for emulators")
	}
}

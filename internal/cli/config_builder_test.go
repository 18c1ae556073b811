package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestBuilderArches: what this machine's processor runs is in arches, what an
// emulator runs in emulated_arches, and neither in the other.
func TestBuilderArches(t *testing.T) {
	if nativeArches()[0] != "x86_64" {
		t.Skip("these arches need a machine that is x86_64")
	}
	for _, tt := range []struct {
		options, args    string
		arches, emulated string
		want             string // part of the error
	}{
		{"", "", "x86_64", "", ""},
		{"arches = x86_64 i686", "", "x86_64 i686", "", ""},
		{"arches = x86_64", "10.0.0.7 i686 i386", "i686 i386", "", ""},
		{"emulated_arches = aarch64 armv7hl", "", "", "aarch64 armv7hl", ""},
		{"arches = x86_64\nemulated_arches = aarch64", "", "x86_64", "aarch64", ""},
		{"backend = null\narches = aarch64", "", "aarch64", "", ""},
		{"arches = x86_64 aarch64", "", "", "", "arches has aarch64, whose programs this machine does not run; emulated_arches = aarch64 "},
		{"", "10.0.0.7 s390x", "", "", "arches has s390x"},
		{"emulated_arches = i686", "", "", "", "emulated_arches = i686 has i686, which this machine runs itself"},
		{"emulated_arches = noarch", "", "", "", "has noarch"},
		{"emulated_arches = aarch64 aarch64", "", "", "", "names aarch64 twice"},
		{"emulated_arches = ../etc", "", "", "", "names no arch"},
		{"labels = ssd, big-1 ssd", "", "x86_64", "", ""},
		{"labels = ssd, BIG", "", "", "", `labels = ssd, BIG has a word that is none: "BIG"`},
		{"emulated_arch = aarch64", "", "", "", "emulated_arches"}, // the nearest known name
		{"mode = active", "", "x86_64", "", ""},
		{"first_uid = 999", "", "", "", "is below 1000"},
		{"first_uid = 4294967295", "", "", "", "is so large that no uids follow it"},
		{"mode = aktive", "", "", "", "is neither passive"},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"key.pem": "", "ca.pem": "",
			"builder.cfg": "[Builder]\nbuilder_key_and_cert = key.pem\nca_cert = ca.pem\nserver = https://127.0.0.1:8886\n" + tt.options + "\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c, err := readBuilderConfig(filepath.Join(dir, "builder.cfg"))
		if err == nil {
			err = c.override(strings.Fields(tt.args))
		}
		switch {
		case tt.want != "":
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q, %q: %v, want %q", tt.options, tt.args, err, tt.want)
			}
		case err != nil:
			t.Errorf("%q, %q: %v", tt.options, tt.args, err)
		case !slices.Equal(c.arches, strings.Fields(tt.arches)) || !slices.Equal(c.emulated, strings.Fields(tt.emulated)):
			t.Errorf("%q, %q: arches %q, emulated %q", tt.options, tt.args, c.arches, c.emulated)
		}
	}
}

// TestBuilderUserIsNoSlot: no build has the account of what holds the builder's key.
func TestBuilderUserIsNoSlot(t *testing.T) {
	for first, ok := range map[int]bool{65530: true, 65531: false, 65534: false, 65535: true} {
		c := &builderConfig{user: "nobody", firstUID: first, slots: 4}
		if _, _, err := c.lookup(); (err == nil) != ok {
			t.Errorf("nobody, who is 65534, and builds from %d on: %v", first, err)
		}
	}
}

// TestServersOfABuilder: all that it dials.
func TestServersOfABuilder(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "https://127.0.0.1:8886",
		"https://a:1/":           "https://a:1",
		"https://a:1, https://b": "https://a:1 https://b",
		"https://a:1, b:1":       "",
		"https://a:1/x":          "",
		"https://u@a:1":          "",
		"https://":               "",
	} {
		c := &builderConfig{file: "builder.cfg"}
		err := c.readServers(&settings{set: map[string]setting{"server": {text: text, list: words(text)}}})
		if got := strings.Join(c.servers, " "); got != want && want != "" || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
}

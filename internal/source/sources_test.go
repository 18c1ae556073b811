package source

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"plague"
)

var (
	hex32  = strings.Repeat("0123456789abcdef", 2)
	hex64  = strings.Repeat(hex32, 2)
	hex128 = strings.Repeat(hex64, 2)
)

func TestParseSources(t *testing.T) {
	text := hex32 + "  tree-1.tgz\n" + hex32 + " *a_b~c+d.patch\r\n\nSHA512 (tree-2.tar.xz) = " + strings.ToUpper(hex128) +
		"\nMD5 (x) = " + hex32 + "\nSHA256 (y) = " + hex64
	want := []listed{{"tree-1.tgz", "md5", hex32}, {"a_b~c+d.patch", "md5", hex32}, {"tree-2.tar.xz", "sha512", hex128}, {"x", "md5", hex32}, {"y", "sha256", hex64}}
	if got, err := parseSources(text); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	places := []string{"tree/x/md5/" + hex32 + "/x", "tree/x/" + hex32 + "/x"}
	if got := want[3].places("tree"); !reflect.DeepEqual(got, places) {
		t.Errorf("an old file is at %q", got)
	}
	if got := want[2].places("tree"); !reflect.DeepEqual(got, []string{"tree/tree-2.tar.xz/sha512/" + hex128 + "/tree-2.tar.xz"}) {
		t.Errorf("a new file is at %q", got)
	}
}

func TestParseSourcesRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"a folder":          hex32 + "  a/b",
		"a way out":         hex32 + "  ../../etc/passwd",
		"a way out, new":    "SHA512 (../x) = " + hex128,
		"dots":              hex32 + "  a..b",
		"an absolute name":  hex32 + "  /etc/passwd",
		"a hidden name":     hex32 + "  .rpmmacros",
		"an option":         hex32 + "  -rf",
		"a control":         hex32 + "  a\x1bb",
		"a percent":         hex32 + "  a%2fb",
		"a short digest":    hex32[1:] + "  a",
		"a digest of sorts": "SHA512 (a) = " + hex64,
		"no digest":         "SHA512 (a) = xyz",
		"an unknown digest": "CRC32 (a) = 01234567",
		"a comment":         "# nothing",
		"half a line":       "SHA512 (a)",
		"two names":         hex32 + "  a b",
		"the same twice":    hex32 + "  a\n" + hex32 + "  a",
		"a long name":       hex32 + "  " + strings.Repeat("a", 201),
		"too much":          strings.Repeat("\n", maxSources+1),
		"too many":          manySources(),
	} {
		_, err := parseSources(text)
		var r *plague.Refusal
		if !errors.As(err, &r) || r.Hint == "" || !errors.Is(err, plague.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func manySources() string {
	var b strings.Builder
	for i := range maxSourceFiles + 1 {
		b.WriteString(hex32 + " f" + strings.Repeat("x", i%150) + string(rune('a'+i/150)) + "\n")
	}
	return b.String()
}

func FuzzSources(f *testing.F) {
	f.Add(hex32 + "  a\nSHA512 (b) = " + hex128)
	f.Add("SHA256 (../b) = " + hex64)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseSources(text)
		if err != nil && !errors.Is(err, plague.ErrInvalid) {
			t.Fatal(err)
		}
		for _, l := range list {
			if checkName(l.name) != nil || strings.ContainsAny(l.name, "/%\\ ") || l.name[0] == '-' || l.name[0] == '.' || newHash(l.method) == nil {
				t.Fatalf("%+v was taken", l)
			}
		}
	})
}

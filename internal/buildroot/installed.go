package buildroot

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"plague/internal/rpm"
)

// InstalledLog is the file beside the results that says what was in the buildroot: a
// line for each package, which begins with name-version-release.arch. Name and form
// are those of mock's plugin package_state.
const InstalledLog = "installed_pkgs.log"

// noteInstalled keeps in a layer which RPMs it was made of.
func noteInstalled(dir string, names []string) error {
	return os.WriteFile(filepath.Join(dir, "installed"), []byte(strings.Join(names, "\n")), 0o600)
}

// tellInstalled writes InstalledLog. A layer above may have newer packages than one
// below.
func (b *build) tellInstalled(out string) error {
	all := map[string]string{} // by name.arch
	add := func(files []string) {
		for _, file := range files {
			if n, err := rpm.ParseFilename(file); err == nil {
				all[n.Name+"."+n.Arch] = strings.TrimSuffix(file, ".rpm")
			}
		}
	}
	for _, l := range b.held {
		text, err := os.ReadFile(filepath.Join(l.dir, "installed"))
		if err != nil {
			return err
		}
		add(strings.Split(string(text), "\n"))
	}
	add(b.has)
	lines := slices.Sorted(maps.Values(all))
	return writeNew(filepath.Join(out, InstalledLog), []byte(strings.Join(lines, "\n")+"\n"))
}

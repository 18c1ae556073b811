package why

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"plague/internal/buildlog"
	"plague/internal/durable"
	"plague/internal/rpm"
)

const (
	installedLog = "installed_pkgs.log" // mock's name for what was in a buildroot
	maxInstalled = 8 << 20              // bytes of it that are read
	maxChanges   = 20                   // that are shown
)

// installed reads what was in an attempt's buildroot: the version by name.arch. nil:
// nobody knows.
func installed(d *durable.Dir, dir string) map[string]string {
	f, err := d.Open(path.Join(dir, installedLog))
	if err != nil {
		return nil
	}
	defer f.Close()
	all := map[string]string{}
	lines := bufio.NewScanner(io.LimitReader(f, maxInstalled))
	for lines.Scan() {
		word, _, _ := strings.Cut(lines.Text(), " ")
		if n, err := rpm.ParseNEVRA(word); err == nil {
			all[n.Name+"."+n.Arch] = n.EVR.String()
		}
	}
	return all
}

// changes says what differs between two buildroots, a line for each package, the
// first few of them.
func changes(before, now map[string]string) (lines []string) {
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if was, there := before[name]; !there {
			lines = append(lines, fmt.Sprintf("%s %s is new", name, now[name]))
		} else if was != now[name] {
			lines = append(lines, fmt.Sprintf("%s %s was %s", name, now[name], was))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, there := now[name]; !there {
			lines = append(lines, fmt.Sprintf("%s %s is gone", name, before[name]))
		}
	}
	for i := range lines {
		lines[i] = buildlog.OneLine(lines[i])
	}
	if n := len(lines); n > maxChanges {
		lines = append(lines[:maxChanges], fmt.Sprintf("and %d more", n-maxChanges))
	}
	return lines
}

package cli

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"plague"

	"gopkg.in/ini.v1"
)

// A setting is one option of a configuration file.
type setting struct {
	text string
	list []string // the same as words: by lines and commas
	line int      // 1 is the first
}

// settings are the options of one configuration file, by name. Options keep
// the names of 2005; in which section of the file one stands does not matter,
// but it must be a known one.
type settings struct {
	file string
	set  map[string]setting
}

// maxConfig is the largest file read as configuration.
const maxConfig = 1 << 20

// readSettings reads a configuration file strictly: an option or section that
// is not known is an error with file, line and the nearest known name. A
// CONFIG.py of 2005 is read as literal assignments and never executed.
func readSettings(file string, known map[string][]string) (*settings, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, plague.Refuse(plague.ErrInvalid, "configuration: "+err.Error(), "name another file with -c")
	}
	if info.Size() > maxConfig {
		return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("configuration %s has %d bytes, the limit is %d", file, info.Size(), maxConfig), "")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, plague.Refuse(plague.ErrInvalid, "configuration: "+err.Error(), "")
	}
	if isPython(file, data) {
		return readPython(file, data, allOptions(known))
	}
	return readINI(file, data, known)
}

func allOptions(known map[string][]string) []string {
	var all []string
	for _, options := range known {
		all = append(all, options...)
	}
	slices.Sort(all)
	return all
}

func readINI(file string, data []byte, known map[string][]string) (*settings, error) {
	f, err := ini.LoadSources(ini.LoadOptions{
		AllowPythonMultilineValues: true, SpaceBeforeInlineComment: true, KeyValueDelimiters: "=:", AllowBooleanKeys: false,
	}, data)
	if err != nil {
		return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s: %v", file, err), "")
	}
	s := &settings{file: file, set: map[string]setting{}}
	for _, section := range f.Sections() {
		if section.Name() == ini.DefaultSection && len(section.Keys()) == 0 {
			continue
		}
		options, ok := known[section.Name()]
		if !ok {
			return nil, unknown(file, lineOf(data, section.Name(), ""), "section", section.Name(), names(known))
		}
		for _, key := range section.Keys() {
			line := lineOf(data, section.Name(), key.Name())
			// A section without a list of its own holds names that the user chooses.
			if options != nil && !slices.Contains(options, key.Name()) {
				return nil, unknown(file, line, "option", key.Name(), options)
			}
			name := key.Name()
			if options == nil {
				name = section.Name() + "." + name
			}
			s.set[name] = setting{text: strings.TrimSpace(key.String()), list: words(key.String()), line: line}
		}
	}
	return s, nil
}

func names(known map[string][]string) []string {
	var all []string
	for name := range known {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// unknown is the error for a name that is not known.
func unknown(file string, line int, what, name string, known []string) error {
	hint := "the known ones are " + strings.Join(known, ", ")
	if near := plague.Nearest(name, known); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s:%d: unknown %s %q", file, line, what, name), hint)
}

// lineOf finds the line of an option, or of a section when option is empty.
func lineOf(data []byte, section, option string) int {
	in := ini.DefaultSection
	for i, line := range bytes.Split(data, []byte("\n")) {
		text := strings.TrimSpace(string(line))
		if name, ok := strings.CutPrefix(text, "["); ok {
			in, _, _ = strings.Cut(name, "]")
			if option == "" && in == section {
				return i + 1
			}
			continue
		}
		key, _, found := strings.Cut(text, "=")
		if k, _, ok := strings.Cut(text, ":"); ok && (!found || len(k) < len(key)) {
			key = k
		}
		if in == section && strings.TrimSpace(key) == option {
			return i + 1
		}
	}
	return 0
}

// words splits a value at commas, white space that follows them, and lines.
func words(value string) []string {
	var all []string
	for _, line := range strings.Split(value, "\n") {
		for _, w := range strings.Split(line, ",") {
			if w = strings.TrimSpace(w); w != "" {
				all = append(all, w)
			}
		}
	}
	return all
}

// fields splits a value at white space and commas.
func fields(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
}

// text gives an option's value, or the fallback when it is absent or empty.
func (s *settings) text(name, fallback string) string {
	if v := s.set[name].text; v != "" {
		return v
	}
	return fallback
}

// path gives an option that names a file: relative ones count from the
// configuration's folder, and ~ is the home.
func (s *settings) path(name, fallback string) string {
	return s.beside(s.text(name, fallback))
}

// beside makes the name of a file absolute.
func (s *settings) beside(v string) string {
	if rest, ok := strings.CutPrefix(v, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	if v == "" || filepath.IsAbs(v) {
		return v
	}
	return filepath.Join(filepath.Dir(s.file), v)
}

func (s *settings) number(name string, fallback int) (int, error) {
	v := s.text(name, "")
	if v == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return 0, s.wrong(name, "is not a number")
	}
	return n, nil
}

func (s *settings) yes(name string, fallback bool) (bool, error) {
	switch strings.ToLower(s.text(name, "")) {
	case "":
		return fallback, nil
	case "yes", "true", "on", "1":
		return true, nil
	case "no", "false", "off", "0":
		return false, nil
	}
	return false, s.wrong(name, "is neither yes nor no")
}

// seconds reads a time: a plain number is seconds, as in 2005.
func (s *settings) seconds(name string, fallback time.Duration) (time.Duration, error) {
	v := s.text(name, "")
	if v == "" {
		return fallback, nil
	}
	if n, err := strconv.Atoi(v); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, s.wrong(name, "is not a time such as 90 or 2m")
	}
	return d, nil
}

// bytes reads a size such as 500M or 16G, in units of 1024; 0: the option is not set.
func (s *settings) bytes(name string) (int64, error) {
	v := s.text(name, "")
	if v == "" {
		return 0, nil
	}
	digits := strings.TrimRight(v, "kKMGT")
	n, err := strconv.ParseInt(digits, 10, 64)
	power, known := map[string]uint{"": 0, "k": 10, "K": 10, "M": 20, "G": 30, "T": 40}[v[len(digits):]]
	if err != nil || !known || n <= 0 || n > math.MaxInt64>>power {
		return 0, s.wrong(name, "is not a size such as 500M or 16G")
	}
	return n << power, nil
}

// wrong is the error for a value.
func (s *settings) wrong(name, why string) error {
	v := s.set[name]
	return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s:%d: %s = %s %s", s.file, v.line, name, v.text, why), "")
}

// need gives an option that names a file which must be there.
func (s *settings) need(name, fallback, what string) (string, error) {
	p := s.path(name, fallback)
	if p == "" {
		return "", plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s: the option %s is missing: %s", s.file, name, what),
			"`plague-certhelper --help` tells how to make one")
	}
	if _, err := os.Stat(p); err != nil {
		return "", plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s: %s: %v (%s)", s.file, name, err, what),
			"`plague-certhelper --help` tells how to make one")
	}
	return p, nil
}

// isPython says whether a file is a CONFIG.py of 2005.
func isPython(file string, data []byte) bool {
	return strings.HasSuffix(file, ".py") || assignment().Match(data)
}

func assignment() *regexp.Regexp {
	return regexp.MustCompile(`(?m)^config_opts\[['"]([A-Za-z0-9_]+)['"]\]\s*=\s*`)
}

// names lists the options that are set, in a fixed order.
func (s *settings) names() []string {
	all := make([]string, 0, len(s.set))
	for name := range s.set {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

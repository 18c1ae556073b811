package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"plague"
)

// targetOptions are the sections and options of a target file: those of 0.4,
// then ours.
func targetOptions() map[string][]string {
	return map[string][]string{
		"General":                    {"distro", "target", "repo", "testing", "repo_script"},
		"Arches":                     {"base_arches", "optional_arches"},
		"Aliases":                    {"cvs_alias", "user_aliases"},
		"Additional Packages Arches": nil,
		"Constraints":                nil,
		"CVS":                        {"cvs_root", "cvs_rsh"},
		"SCM":                        scmOptions(),
		"Buildroot":                  {"packages"},
		"Repositories":               nil,
		"Macros":                     nil,
	}
}

// readTarget reads one target file.
func readTarget(file string) (plague.Target, error) {
	var t plague.Target
	s, err := readSettings(file, targetOptions())
	if err != nil {
		return t, err
	}
	for name, into := range map[string]*string{"distro": &t.Distro, "target": &t.Target, "repo": &t.Repo} {
		*into = s.text(name, "")
		if *into == "" || strings.ContainsAny(*into, "/ \t\n") || strings.HasPrefix(*into, ".") {
			return t, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s: [General] %s = %q does not name a target", file, name, *into),
				"distro, target and repo are words such as fedora, development and extras")
		}
	}
	if t.Testing, err = s.yes("testing", false); err != nil {
		return t, err
	}
	if err := readArches(s, &t); err != nil {
		return t, err
	}
	t.CVSAlias, t.UserAliases = s.text("cvs_alias", ""), fields(s.text("user_aliases", ""))
	if t.RepoScript = s.text("repo_script", ""); t.RepoScript != "" {
		if err := runnable(strings.Fields(t.RepoScript)[0]); err != nil {
			return t, s.wrong("repo_script", err.Error())
		}
	}
	if t.SCM, err = readSCM(s, &t); err != nil {
		return t, err
	}
	t.Buildroot = s.set["packages"].list
	if len(t.Buildroot) == 0 {
		t.Buildroot = []string{"@buildsys-build"}
	}
	t.Additional, t.Macros, t.Constraints = map[string][]string{}, map[string]string{}, map[string]plague.Needs{}
	for _, name := range s.names() {
		section, key, dotted := strings.Cut(name, ".")
		if !dotted {
			continue
		}
		value := s.set[name].text
		switch section {
		case "Additional Packages Arches":
			t.Additional[key] = fields(value)
			if err := offered(s, name, t.Additional[key], t.BaseArches); err != nil {
				return t, err
			}
		case "Constraints":
			if t.Constraints[key], err = plague.ParseNeeds(value); err != nil {
				return t, s.wrong(name, "is no constraint: "+err.Error())
			}
		case "Macros":
			t.Macros[key] = value
		case "Repositories":
			if !strings.Contains(value, "://") {
				return t, s.wrong(name, "is not a URL")
			}
			t.Base = append(t.Base, plague.BaseRepo{ID: key, URL: value})
		}
	}
	return t, nil
}

// runnable says what keeps a program of the configuration from being run.
func runnable(program string) error {
	if !filepath.IsAbs(program) {
		return errors.New("does not begin with the absolute path of a program")
	}
	info, err := os.Stat(program)
	if err != nil {
		return fmt.Errorf("cannot be run: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return errors.New("names no program: `chmod +x` makes a script one")
	}
	return nil
}

// readTargets reads the target files of a folder, or those of them that the
// option targets names.
func readTargets(dir string, named []string) ([]plague.Target, error) {
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []plague.Target
	var found []string
	for _, f := range files {
		if filepath.Ext(f.Name()) != ".cfg" {
			continue
		}
		t, err := readTarget(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, err
		}
		if slices.Contains(found, t.String()) {
			return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s: the target %s has two files", dir, t.String()), "")
		}
		found = append(found, t.String())
		if len(named) == 0 || slices.Contains(named, t.String()) {
			all = append(all, t)
		}
	}
	for _, name := range named {
		if !slices.Contains(found, name) {
			return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("targets names %s, and no file in %s describes it", name, dir), nearHint(name, found))
		}
	}
	if len(all) == 0 {
		return nil, plague.Refuse(plague.ErrInvalid, "no target: there is no *.cfg in "+dir, "target_configs_dir names the folder, docs/guide/set-up.md shows a file")
	}
	return all, unambiguous(all)
}

// unambiguous refuses two targets that answer to one name.
func unambiguous(ts []plague.Target) error {
	owner := map[string]string{}
	for i := range ts {
		for _, name := range append([]string{ts[i].String()}, ts[i].UserAliases...) {
			if other := owner[name]; other != "" && other != ts[i].String() {
				return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s names both %s and %s", name, other, ts[i].String()), "take it out of one of their user_aliases")
			}
			owner[name] = ts[i].String()
		}
	}
	return nil
}

func nearHint(name string, known []string) string {
	if near := plague.Nearest(name, known); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	return "known are " + strings.Join(known, ", ")
}

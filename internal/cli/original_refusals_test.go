package cli

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"plague"
	"plague/internal/wire"
)

// refusalSentences are about what enqueue refuses, and its words for it.
func refusalSentences() []sentence {
	return []sentence{
		{"0.3.2", "Errors of enqueue have three items, the last is uid -1.", func(o *original) error {
			code, _, rest, err := o.call(o.clients["packager"], wire.CallEnqueue, o.User, "quick", "none.src.rpm", "devel")
			if err != nil || code != -1 || !reflect.DeepEqual(rest, []any{-1}) {
				return fmt.Errorf("%d, %#v, %v", code, rest, err)
			}
			return nil
		}},
		{"0.4.5", "\"This build server does not support the target <t>.\"",
			calls("packager", wire.CallEnqueue, -1, "This build server does not support the target fc5.", "$email", "quick", "$srpms/quick-1-1.src.rpm", "fc5")},
		{"0.4.5", "\"Pathname to SRPM is limited to 255 characters.\"",
			calls("packager", wire.CallEnqueue, -1, "Pathname to SRPM is limited to 255 characters.", "$email", "quick", "/"+strings.Repeat("a", 247)+".src.rpm", "devel")},
		{"0.4.5", "255 of them are not refused for that.",
			calls("packager", wire.CallEnqueue, -1, "SRPM does not exist", "$email", "quick", "$srpms/"+strings.Repeat("a", 100)+".src.rpm", "devel")},
		{"0.4.5", "\"SRPM does not exist or is not accessible, remember to use absolute paths.\"",
			calls("packager", wire.CallEnqueue, -1, "SRPM does not exist or is not accessible, remember to use absolute paths.", "$email", "quick", "./quick-1-1.src.rpm", "devel")},
		{"0.4.5", "\"The package name contained an illegal character.\"", every(
			calls("packager", wire.CallEnqueue, -1, "The package name contained an illegal character", "$email", "quick;id", "$srpms/quick-1-1.src.rpm", "devel"),
			calls("packager", wire.CallEnqueue, -1, "The package name contained an illegal character", "$email", "in cvs", "incvs-1_0-1", "lab-cvs-extras"))},
		{"0.4.5", "\"The CVS tag contained an illegal character.\"",
			calls("packager", wire.CallEnqueue, -1, "The CVS tag contained an illegal character", "$email", "incvs", "incvs-1_0-1;id", "lab-cvs-extras")},
		{"0.4.5", "A CVS tag has letters, digits and - _ . : ~ [ ] +, and nothing else.", func(*original) error {
			scm := plague.SCM{Kind: "cvs", CVSRoot: ":pserver:a@cvs.example.com:/cvs", Allow: []string{"pserver://cvs.example.com/"}}
			for r := rune(1); r < 300; r++ {
				legal := strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:~[]+", r)
				if err := checkSource(scm, "pkg", "a"+string(r)+"b"); (err == nil) != legal {
					return fmt.Errorf("a tag with %q: %w", r, err)
				}
			}
			return nil
		}},
		{"0.4.5", "The header gives the package's name: an SRPM of another is refused.",
			calls("packager", wire.CallEnqueue, -1, "holds the package quick, not slow", "$email", "slow", "$srpms/quick-1-1.src.rpm", "devel")},
		{"0.4.5", "Each refusal begins \"Error setting up build for <x> on <target>: \" and is mailed to the user.", every(
			calls("own", wire.CallEnqueue, -1, "Error setting up build for mailed on fc99: This build server does not support the target fc99.", "$email", "mailed", "$srpms/quick-1-1.src.rpm", "fc99"),
			mailed("own@example.com", "Error setting up build for mailed on fc99", "Error setting up build for mailed on fc99: This build server does not support the target fc99."))},
		{"0.4.5", "The client's own asking is mailed, too.", every(
			prints("own", 2, "does not support the target fc98", "build", "five", "$srpms/five-1-1.src.rpm", "fc98"),
			mailed("own@example.com", "Error setting up build for five on fc98"))},
	}
}

// example is the target file that the build system of 2005 was explained with.
const example = `[General]
distro = fedora
target = development
repo = core
testing = yes
repo_script =
[Arches]
base_arches = i386 x86_64 ppc
optional_arches = i686 noarch
[Additional Packages Arches]
kernel = i686
[Aliases]
cvs_alias =
user_aliases = fc4 devel
[CVS]
`

// targetSentences are about target files and names.
func targetSentences() []sentence {
	return []sentence{
		{"0.4", "One <anything>.cfg for each distribution has General, Arches, Aliases, Additional Packages Arches and CVS.", func(o *original) error {
			t, err := o.target(example)
			want := plague.Target{Distro: "fedora", Target: "development", Repo: "core", Testing: true, BaseArches: []string{"i386", "x86_64", "ppc"}, OptionalArches: []string{"i686", "noarch"},
				Additional: map[string][]string{"kernel": {"i686"}}, UserAliases: []string{"fc4", "devel"}, Buildroot: []string{"@buildsys-build"}, Macros: map[string]string{}, Constraints: map[string]plague.Needs{}}
			if err != nil || !reflect.DeepEqual(t, want) {
				return fmt.Errorf("%s, %v; want %s", asJSON(t), err, asJSON(want))
			}
			return nil
		}},
		{"0.4", "A missing section Additional Packages Arches is tolerated.", func(o *original) error {
			t, err := o.target(strings.Replace(example, "[Additional Packages Arches]\nkernel = i686\n", "", 1))
			if err != nil || len(t.Additional) != 0 {
				return fmt.Errorf("%v, %v", t.Additional, err)
			}
			return nil
		}},
		{"0.4", "The target string is <distro>-<target>-<repo>, and users may type it.",
			calls("packager", wire.CallEnqueue, -1, "in lab-12-extras already", "$email", "quick", "$srpms/quick-1-1.src.rpm", "lab-12-extras")},
		{"0.4", "user_aliases are what users type: any number of them.", every(
			calls("packager", wire.CallEnqueue, -1, "in lab-12-extras already", "$email", "quick", "$srpms/quick-1-1.src.rpm", "fc4"),
			calls("packager", wire.CallEnqueue, -1, "in lab-12-extras already", "$email", "quick", "$srpms/quick-1-1.src.rpm", "testing_fc4"))},
		{"0.4", "A job has its target in three parts.", func(o *original) error {
			job, err := o.newest("quick")
			if err != nil || job.TargetDistro != "lab" || job.TargetTarget != "12" || job.TargetRepo != "extras" {
				return fmt.Errorf("%+v, %v", job, err)
			}
			return nil
		}},
		{"README", "targets in CONFIG.py adds and removes the targets that the server builds for: what it does not name is not there.", func(o *original) error {
			_, err := readTargets(o.file("server", "targets"), []string{"lab-cvs-extras"})
			if err != nil {
				return err
			}
			if _, err = readTargets(o.file("server", "targets"), []string{"lab-13-extras"}); !errors.Is(err, plague.ErrInvalid) {
				return fmt.Errorf("a target that no file describes: %w", err)
			}
			return nil
		}},
	}
}

package cli

import (
	"fmt"
	"os"
	"strings"

	"plague"
	"plague/internal/server"
	"plague/internal/wire"
)

// sourceSentences are about what may be built: SRPMs and tags.
func sourceSentences() []sentence {
	return []sentence{
		{"README", "To build a package: plague-client build ethtool /home/dcbw/ethtool-1.8-4.src.rpm devel. \"Package ethtool enqueued.\" says that it was successful.", every(
			place("quick", ":"),
			onServer(prints("packager", 0, `^Package quick enqueued\.\n$`, "build", "quick", "$srpms/quick-1-1.src.rpm", "devel")))},
		{"0.4", "The client can upload packages to the server.",
			uploads("short", "build", "short")},
		{"0.4.5", "build <path>.src.rpm <target>: the package's name is read from the SRPM's header.",
			uploads("named", "build")},
		{"0.4", "A missing allow_uploads is tolerated.", func(o *original) error {
			text := strings.Replace(string(mustRead(o.t, o.Client)), "allow_uploads = yes\n", "", 1)
			return o.withConfig(text, prints("changed", 0, `quick`, "list", "--all"))
		}},
		{"0.4", "Without uploads the path of an SRPM must be absolute.",
			onServer(prints("packager", 2, `not the absolute path of a \.src\.rpm on the build server`, "build", "quick", "quick-1-1.src.rpm", "devel"))},
		{"0.4", "And it must be readable on the server.",
			onServer(prints("packager", 2, `SRPM does not exist or is not accessible, remember to use absolute paths\.`, "build", "none", "$srpms/none-1-1.src.rpm", "devel"))},
		{"0.4.5", "Any other number of arguments: \"Invalid number of arguments.\"", every(
			prints("packager", 2, `Invalid number of arguments\.`, "build", "quick"),
			prints("packager", 2, `Invalid number of arguments\.`, "build", "a", "b", "c", "d"))},
		{"0.4.5", "enqueue(email, package, source, target, buildreq=None): the source may be an SRPM, and the last argument may be left out.", every(
			place("five", ":"),
			calls("packager", wire.CallEnqueue, 0, "Package five enqueued.", "$email", "five", "$srpms/five-1-1.src.rpm", "devel", []string{}))},
		{"0.3", "enqueue_srpm(email, package, srpm_file, target, buildreq) asks for a build of an SRPM.", every(
			place("oldcall", ":"),
			calls("packager", wire.CallEnqueueSRPM, 0, "Package oldcall enqueued.", "$email", "oldcall", "$srpms/oldcall-1-1.src.rpm", "devel", []string{}))},
		{"0.4.5", "A source that ends with .src.rpm is an SRPM.",
			calls("packager", wire.CallEnqueue, -1, "SRPM does not exist", "$email", "quick", "incvs-1_0-1.src.rpm", "lab-cvs-extras")},
		{"0.4.5", "So is one that has a /.",
			calls("packager", wire.CallEnqueue, -1, "SRPM does not exist", "$email", "quick", "incvs/incvs-1_0-1", "lab-cvs-extras")},
		{"README", "For simple SRPM builds, set use_srpm_not_cvs to true: tags are refused then,",
			refusesOther(server.TakesSRPMs, "This build server is set up for building SRPMS only.  ", "quick-1_0-1")},
		{"README", "and with false SRPMs are.",
			refusesOther(server.TakesTags, "This build server is set up for building CVS checkouts only.  ", "/tmp/quick-1-1.src.rpm")},
		{"0.4", "use_cvs in the server's ini file is the contrary.", every(
			takes("use_cvs = no\n", server.TakesSRPMs), takes("use_srpm_not_cvs = true\n", server.TakesSRPMs), takes("use_cvs = yes\n", server.TakesTags), takes("", server.TakesBoth))},
		{"0.4.5", "A tag that is not there fails the job in checkout.", every(
			calls("packager", wire.CallEnqueue, 0, "", "$email", "incvs", "incvs-2_0-1", "lab-cvs-extras"),
			rests("incvs", plague.JobFailed, `no tag "incvs-2_0-1"`), goes("incvs", "checkout=>failed"))},
		{"0.4.5", "Sources that have no folder for the target fail the job.", every(
			calls("packager", wire.CallEnqueue, 0, "", "$email", "incvs", "incvs-1_0-1", "lab-elsewhere-extras"),
			rests("incvs", plague.JobFailed, `could not find checkout directory "incvs/elsewhere": sources probably don't exist for this target`))},
		{"0.4.5", "enqueue(email, package, source, target): the source may be a tag in CVS.",
			calls("packager", wire.CallEnqueue, 0, "Package incvs enqueued.", "$email", "incvs", "incvs-1_0-1", "lab-cvs-extras")},
		{"README", "checkout: cvs checks out the package with the tag, and the module common if it did not come along; make_srpm makes the SRPM in the target's folder with its Makefile.",
			rests("incvs", plague.JobNeedSign, "")},
		{"0.4.5", "cvs_alias is the folder in CVS when it differs from the target.", func(o *original) error {
			for alias, want := range map[string]string{"": "development", "devel": "devel"} {
				t, err := o.target(strings.Replace(example, "cvs_alias =", "cvs_alias = "+alias, 1) + "cvs_root = :pserver:a@cvs.example.com:/cvs\n")
				if err != nil || t.SCM == nil || t.SCM.Branch != want || t.SCM.Common != "common" {
					return fmt.Errorf("with cvs_alias = %q: %+v, %v", alias, t.SCM, err)
				}
			}
			return nil
		}},
		{"0.4.5", "cvs_root and cvs_rsh are CVSROOT and CVS_RSH of the checkout.", func(o *original) error {
			t, err := o.target(example + "cvs_root = :ext:cvs.example.com:/cvs\ncvs_rsh = ssh\n")
			if err != nil || t.SCM.CVSRoot != ":ext:cvs.example.com:/cvs" || t.SCM.CVSRSH != "ssh" {
				return fmt.Errorf("%+v, %v", t.SCM, err)
			}
			return nil
		}},
		{"ClearOS", "[SCM] git_root: a package's repository is <git_root>/<package>.", func(o *original) error {
			t, err := o.target(strings.Replace(example, "[CVS]", "[SCM]", 1) + "git_root = https://git.example.com/rpms\n")
			if err != nil || t.SCM.Kind != "git" || t.SCM.URL != "https://git.example.com/rpms" {
				return fmt.Errorf("%+v, %v", t.SCM, err)
			}
			return nil
		}},
	}
}

// place puts an SRPM on the server.
func place(name, shell string) check {
	return func(o *original) error {
		o.srpm(name, spec(name, shell))
		return nil
	}
}

// uploads builds an SRPM that the server cannot read.
func uploads(name string, args ...string) check {
	return func(o *original) error {
		return prints("packager", 0, `^Package `+name+` enqueued\.\n$`, append(args, tinySRPM(o.t, name, ":"), "devel")...)(o)
	}
}

// onServer is a command of a client with allow_uploads = no.
func onServer(c check) check {
	return func(o *original) error {
		was := o.configs["packager"]
		defer func() { o.configs["packager"] = was }()
		file := o.file("client", "no_uploads.cfg")
		text := strings.Replace(string(mustRead(o.t, o.Client)), "allow_uploads = yes", "allow_uploads = no", 1)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
		o.configs["packager"] = file
		return c(o)
	}
}

// withConfig is a check of the user "changed", whose client has this configuration.
func (o *original) withConfig(text string, c check) error {
	o.configs["changed"] = o.file("client", "changed.cfg")
	if err := os.WriteFile(o.configs["changed"], []byte(text), 0o600); err != nil {
		return err
	}
	return c(o)
}

// refusesOther is an enqueue at a server that takes one kind of source only.
func refusesOther(takes server.Takes, words, source string) check {
	return func(o *original) error {
		code, msg, _, err := o.call(o.only[takes], wire.CallEnqueue, "me@example.com", "quick", source, "devel")
		if err != nil || code != -1 || !strings.Contains(msg, words) {
			return fmt.Errorf("%d, %q, %v; want %q", code, msg, err, words)
		}
		return nil
	}
}

// takes reads the server's configuration with one more line.
func takes(line string, want server.Takes) check {
	return func(o *original) error {
		file := o.file("server", "takes.cfg")
		text := strings.Replace(string(mustRead(o.t, o.file("server", "server.cfg"))), "[Server]\n", "[Server]\n"+line, 1)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
		c, err := readServerConfig(file)
		if err != nil || c.takes != want {
			return fmt.Errorf("with %q it takes %+v, %v; want %q", line, c, err, want)
		}
		return nil
	}
}

package buildroot

import (
	"errors"
	"strings"
	"testing"

	"plague"
)

func TestMockVerdict(t *testing.T) {
	begun := mockProgress{phase: plague.PhasePrepping}
	setup := mockProgress{phase: plague.PhasePrepping, setup: true}
	built := mockProgress{phase: plague.PhaseCleanup, setup: true, built: true}
	const failed = "ERROR: Exception(/x/a-1-1.src.rpm) Config(lab) 0 minutes 1 seconds\nINFO: Results and/or logs in: /x\nERROR: "
	const build = "error: Bad exit status from /var/tmp/rpm-tmp.x (%check)\n\nRPM build errors:\n    Bad exit status from /var/tmp/rpm-tmp.x (%check)\n"
	for _, tt := range []struct {
		end      mockEnd
		packages bool
		says     string
	}{
		{mockEnd{exit: 1, at: built, build: build, said: failed + "Command failed: \n # bash --login -c rpmbuild\n"}, true, "%check failed"},
		{mockEnd{exit: 10, at: built, build: "error: line 3: Unknown tag"}, true, "rpmbuild failed with exit 10: error: line 3: Unknown tag"},
		{mockEnd{exit: 2, at: built, build: "x"}, true, "exit 2"}, // rpmbuild's own code, not mock's
		{mockEnd{exit: 11, at: built, said: failed + "Timeout(60) expired for command:\n # rpmbuild\n"}, true, "took longer"},
		{mockEnd{exit: 1, at: built, said: failed + "Can not copy a.rpm into resultdir /x: [Errno 28] No space left on device"}, false, "No space left"},
		{mockEnd{exit: 247, at: built}, true, "by signal 9, and not for want"},
		{mockEnd{exit: 137, at: built}, true, "by signal 9, and not for want"},
		{mockEnd{exit: 143, at: built}, true, "by signal 15, and not for want"},
		{mockEnd{exit: 143, at: built, said: "INFO: \nReceived signal SIGTERM activating orphansKill"}, false, "signal (exit 143)"},
		{mockEnd{exit: 143, at: begun, said: "INFO: \nReceived signal SIGTERM activating orphansKill"}, false, "signal (exit 143)"},
		{mockEnd{exit: -1, signal: 9, at: built}, false, "ended by signal 9"},
		{mockEnd{exit: 30, at: setup, said: failed + "Command failed: \n # dnf builddep\nNo matching package to install: 'nonesuch-devel >= 99'\nNot all dependencies satisfied\nError: Some packages could not be found."},
			true, "BuildRequires: nothing provides nonesuch-devel >= 99; root.log"},
		{mockEnd{exit: 1, at: setup, said: "No match for argument: nonesuch\n"}, true, "nothing provides nonesuch"}, // dnf5's words
		{mockEnd{exit: 30, at: setup, said: failed + "Command failed: \n # dnf builddep\nError: Failed to download metadata for repo 'own'"}, false, "mock's package manager failed: Error: Failed to download metadata"},
		{mockEnd{exit: 30, at: begun, said: failed + "Command failed: \n # dnf install\nNo match for argument: @buildsys-build\n"}, false, "No match for argument: @buildsys-build"},
		{mockEnd{exit: 1, at: setup, build: "error: line 9: Unknown tag: Foo: 1\n"}, true, "cannot be rebuilt: error: line 9"},
		{mockEnd{exit: 1, at: setup, said: failed + "[Errno 5] Input/output error"}, false, "mock failed: [Errno 5]"},
		{mockEnd{exit: 10, at: setup, said: failed + "No Package found for nonesuch"}, true, "No Package found for nonesuch"},
		{mockEnd{exit: 10, at: setup, said: failed + "builddep command missing.\nPlease install package dnf-plugins-core."}, false, "builddep command missing"},
		{mockEnd{exit: 31, at: setup, said: failed + "Unknown external dependencies: external:x"}, true, "Unknown external dependencies"},
		{mockEnd{exit: 31, at: setup, said: failed + "Pip3 install failed"}, false, "external dependency: Pip3"},
		{mockEnd{exit: 40, at: setup, said: failed + "Source RPM is not installable:\nx"}, true, "not installable"},
		{mockEnd{exit: 40, at: begun}, false, "source package"},
		{mockEnd{exit: 2}, false, "builder_cmd"},
		{mockEnd{exit: 3, said: "ERROR: Config error: /etc/mock/x.cfg: invalid syntax"}, false, "configuration is wrong: Config error"},
		{mockEnd{exit: 4}, false, "chain"},
		{mockEnd{exit: 5}, false, "command line"},
		{mockEnd{exit: 6}, false, "arch"},
		{mockEnd{exit: 7}, false, "interrupted"},
		{mockEnd{exit: 11, at: begun}, false, "longer"},
		{mockEnd{exit: 20, at: begun}, false, "buildroot"},
		{mockEnd{exit: 25}, false, "LVM"},
		{mockEnd{exit: 50}, false, "command"},
		{mockEnd{exit: 60}, false, "in use"},
		{mockEnd{exit: 65}, false, "LVM pool"},
		{mockEnd{exit: 70}, false, "folder of results"},
		{mockEnd{exit: 80}, false, "namespace"},
		{mockEnd{exit: 90}, false, "bootstrap"},
		{mockEnd{exit: 110}, false, "states"},
		{mockEnd{exit: 120}, false, "weak"},
		{mockEnd{exit: 99, said: "what it was\n"}, false, "exit 99: what it was"},
		{mockEnd{exit: 1, said: "Traceback (most recent call last):\nModuleNotFoundError: No module named 'distro'"}, false, "No module named 'distro'"},
	} {
		err := tt.end.verdict()
		var trouble *trouble
		if err == nil || errors.As(err, &trouble) != tt.packages || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%+v: %v (the package's: %v), want %q (%v)", tt.end, err, errors.As(err, &trouble), tt.says, tt.packages)
		}
	}
	if err := (mockEnd{at: built}).verdict(); err != nil {
		t.Error(err)
	}
}

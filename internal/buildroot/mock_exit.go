package buildroot

import (
	"fmt"
	"regexp"
	"strings"
)

// mockEnd is how mock ended, and the ends of what it said.
type mockEnd struct {
	exit   int // of the process; -1: a signal ended it
	signal int
	at     mockProgress
	said   string // on its standard output and error
	build  string // in build.log
}

// Exit codes of mock, as its own source has them (mockbuild/exception.py; mock 0.4
// had 1, 10, 20, 30 and 40 already). Where mock runs another program that fails, its
// code becomes mock's (mockbuild/util.py, do_with_status): so it is with rpmbuild, and
// a code says little without where mock was.
const (
	mockBuildError = 10 // BuildError: rpmbuild asked for more and failed, or yum found no BuildRequires
	mockTimeout    = 11 // commandTimeoutExpired: rpmbuild_timeout or opstimeout of mock's configuration
	mockYumError   = 30 // YumError: the package manager failed
	mockExternal   = 31 // ExternalDepsError: ExternalBuildRequires that mock does not know, or cannot install
	mockPkgError   = 40 // PkgError: the source package cannot be unpacked, or no results came of it
	lastMockSignal = 128
)

// mockExits says what the other codes mean. None of them is the package's doing.
func mockExits() map[int]string {
	return map[int]string{
		1:              "mock failed",                                                                              // Error, and any exception that nobody foresaw
		2:              "mock has no root rights: is builder_cmd the set-user-id program, and not what it starts?", // EPERM in mock.py
		3:              "mock's configuration is wrong",                                                            // ConfigError
		4:              "mock built some packages of a chain only",                                                 // of --chain, which is not used
		5:              "mock does not understand its command line",                                                // BadCmdline
		6:              "mock cannot build for this arch on this machine",                                          // InvalidArchitecture
		7:              "somebody interrupted mock",                                                                // KeyboardInterrupt in mock.py
		mockTimeout:    "a command of mock took longer than its configuration lets it",                             // not rpmbuild: that is the package's
		20:             "mock could not make the buildroot",                                                        // RootError
		25:             "mock could not use LVM",                                                                   // LvmError
		mockYumError:   "mock's package manager failed",                                                            // before the package had a say
		mockExternal:   "mock could not install an external dependency",                                            // pip or crate
		50:             "mock's command failed",                                                                    // mock.py and setup_logging
		60:             "the buildroot is in use by another mock",                                                  // BuildRootLocked
		65:             "mock's LVM pool is in use",                                                                // LvmLocked
		70:             "mock could not make the folder of results",                                                // ResultDirNotAccessible
		80:             "mock could not make a namespace",                                                          // UnshareFailed
		90:             "mock could not prepare its bootstrap buildroot",                                           // BootstrapError
		110:            "mock lost track of its own states",                                                        // StateError
		120:            "mock could not install a weak dependency",                                                 // Error(…, 120)
		mockBuildError: "mock could not make the buildroot",                                                        // before the package had a say
		mockPkgError:   "mock could not read the source package",                                                   // the same
	}
}

// verdict says whose trouble it is that mock failed; nil: it did not.
func (e mockEnd) verdict() error {
	switch {
	case e.exit == 0:
		return nil
	case e.signal != 0:
		return fmt.Errorf("mock was ended by signal %d", e.signal)
	case e.exit > lastMockSignal && e.at.built && !strings.Contains(e.said, "Received signal "): // size looks whether it was the kernel, out of memory
		return packageTrouble("rpmbuild was ended by signal %d, and not for want of memory", endedBy(e.exit))
	case e.exit > lastMockSignal: // 129, 141, 143: mock.py says so of itself
		return fmt.Errorf("mock, or rpmbuild in it, was ended by a signal (exit %d): %s", e.exit, e.lastError())
	case e.at.built && strings.Contains(e.said, "Can not copy ") && strings.Contains(e.said, " into resultdir "):
		return fmt.Errorf("mock could not hand out the results: %s", e.lastError())
	case e.at.built && e.exit == mockTimeout && strings.Contains(e.said, "expired for command"):
		return packageTrouble("rpmbuild took longer than mock's configuration lets it")
	case e.at.built:
		return rpmbuildFailed(e.exit, e.build)
	case e.at.setup:
		if err := e.setupVerdict(); err != nil {
			return err
		}
	}
	what, known := mockExits()[e.exit]
	if !known {
		what = fmt.Sprintf("mock failed with exit %d", e.exit)
	}
	return fmt.Errorf("%s: %s", what, e.lastError())
}

// endedBy is the signal in an exit code above lastMockSignal: a shell adds 128 to it, and
// Python has it below 0, of which 256 is left.
func endedBy(exit int) int {
	const middle = 192
	if exit >= middle {
		return 256 - exit
	}
	return exit - lastMockSignal
}

// setupVerdict is about the time in which mock unpacks the source package, and
// installs what it requires; nil: nothing shows that the package is at fault.
func (e mockEnd) setupVerdict() error {
	if err := unsolved(e.said); err != nil {
		return packageTrouble("BuildRequires: %v; root.log says more", err)
	}
	switch {
	case e.exit == mockPkgError, e.exit == mockBuildError && !strings.Contains(e.said, "builddep command missing"),
		e.exit == mockExternal && strings.Contains(e.said, "Unknown external dependenc"):
		return packageTrouble("%s", e.lastError())
	case regexp.MustCompile(`(?m)^(error: |RPM build errors:)`).MatchString(e.build): // rpmbuild -bs of its spec
		return packageTrouble("the source package cannot be rebuilt: %s", rpmError(e.build))
	}
	return nil
}

// lastError is what mock itself gave as its reason. logging.ini of mock puts the level
// before it; what a command said follows on lines of its own.
func (e mockEnd) lastError() string {
	lines := strings.Split(strings.TrimSpace(e.said), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		why, found := strings.CutPrefix(lines[i], "ERROR: ")
		if !found || strings.HasPrefix(why, "Exception(") {
			continue
		}
		if rest := strings.TrimSpace(strings.Join(lines[i+1:], "\n")); rest != "" && strings.HasPrefix(why, "Command failed") {
			return lastLine(rest)
		}
		return why
	}
	return lastLine(e.said)
}

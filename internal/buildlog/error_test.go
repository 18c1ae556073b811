package buildlog_test

import (
	"strings"
	"testing"

	"plague/internal/buildlog"
)

// TestFirstError: the line that a packager looks for, in logs as they are.
func TestFirstError(t *testing.T) {
	for log, want := range map[string]string{
		"":              "",
		"all is well\n": "",
		"checking for error_at_line... yes\nfoo.c:12:5: fatal error: zlib.h: No such file or directory\n":   "foo.c:12:5: fatal error: zlib.h: No such file or directory",
		"make[1]: *** [Makefile:3: all] Error 1\nerror: Bad exit status from /var/tmp/rpm-tmp.x (%build)\n": "error: Bad exit status from /var/tmp/rpm-tmp.x (%build)",
		"Traceback (most recent call last):\n  File\nKeyboardInterrupt\n":                                   "Traceback (most recent call last):",
		"a.o: undefined reference to `main'\ncollect2: error: ld returned 1 exit status\n":                  "a.o: undefined reference to `main'",
		" Problem: nothing provides libfoo needed by x\n":                                                   "Problem: nothing provides libfoo needed by x",
		"/bin/sh: cmake: command not found\n":                                                               "/bin/sh: cmake: command not found",
		"gcc -Werror -c errors.c\nFAILED: test 3\n":                                                         "FAILED: test 3",
		"\x1b[31merror:\x1b[0m bold\n":                                                                      "error: bold",
		strings.Repeat("y", 200<<10) + "\nerror: after a long line":                                         "error: after a long line",
	} {
		got := buildlog.FirstError(strings.NewReader(log))
		if got != want {
			t.Errorf("%.60q: %q, want %q", log, got, want)
		}
	}
}

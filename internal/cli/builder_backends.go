package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"plague"
	"plague/internal/builder"
	"plague/internal/buildroot"
)

// backend is what a supervisor builds with.
func (s superviseSetup) backend() builder.Backend {
	switch {
	case s.Null:
		return buildroot.Null{}
	case s.Mock != nil:
		return buildroot.ByTarget{Native: native(s.Work), Mock: s.Mock}
	}
	return native(s.Work)
}

// mockTakes says why mock cannot build what orders ask for: it has no configuration.
func mockTakes(m *buildroot.Mock) func(*plague.Work) error {
	if m == nil {
		return nil
	}
	return func(w *plague.Work) error {
		if w.Kind == plague.KindSRPM || m.Roots.BackendOf(w.Target, w.RootArch) != buildroot.BackendMock {
			return nil
		}
		file, err := m.Roots.Config(w.Target, w.RootArch)
		if err != nil {
			return err
		}
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("mock has no configuration for %s on %s here: there is no %s", w.Target, w.RootArch, file)
		}
		return nil // what the daemon may not see, mock may
	}
}

// sweep removes what builds left that were killed, also of a backend that is not
// used any more.
func sweep(work string, mock *buildroot.Mock, live []string, log *slog.Logger) error {
	if mock == nil {
		mock = &buildroot.Mock{Work: mockWork(work)}
	}
	return errors.Join(native(work).Sweep(live), mock.Sweep(live, log))
}

func mockWork(work string) string { return filepath.Join(work, "mock") }

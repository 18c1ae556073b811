package server

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"plague"
	"plague/internal/artifact"
	"plague/internal/durable"
	"plague/internal/store"
)

// The result tree below server_work_dir, as in 2005:
//
//	<target>/<uid>-<name>-<version>-<release>/<arch>/build.log, root.log, job.log and RPMs
//
// and, so that nothing is overwritten by a later attempt,
//
//	<target>/<uid>-<name>-<version>-<release>/attempts/<run>-<arch>-<number>/…
//
// The arch of what makes an SRPM is src; until it is made the folder is <uid>-<name>.
// The first holds hard links to what the newest attempt left in the second.

// ResultDir is a job's folder in the result tree.
func ResultDir(j plague.Job) string {
	return path.Join(j.Target, fmt.Sprintf("%d-%s", j.UID, j.NVR()))
}

func attemptDir(j plague.Job, arch string, run, number int) string {
	return path.Join(ResultDir(j), "attempts", fmt.Sprintf("%d-%s-%d", run, arch, number))
}

// lay links the files of an attempt into the result tree. Doing it twice
// changes nothing, so it comes before the commit that makes them count.
func (s *Server) lay(d *store.Download, files []store.JobFile) error {
	var dirs []string
	for _, j := range shownAs(d, files) {
		dirs = append(dirs, attemptDir(j, d.Arch, j.Run, d.Number), path.Join(ResultDir(j), d.Arch))
	}
	for _, dir := range dirs {
		if err := s.layIn(dir, files); err != nil {
			return fmt.Errorf("result tree: %w", err)
		}
	}
	for _, dir := range dirs { // one after all changes, so that the disk is waited for once
		if err := s.Results.SyncPath(dir); err != nil {
			return fmt.Errorf("result tree: %w", err)
		}
	}
	return nil
}

// layIn links files into one folder. It is not on the disk then.
func (s *Server) layIn(name string, files []store.JobFile) error {
	if _, err := s.Results.Mkdirs(name, 0o755); err != nil {
		return err
	}
	dir, err := s.Results.Sub(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, f := range files {
		digest, err := artifact.ParseDigest(f.Digest)
		if err != nil {
			return err
		}
		if err := s.show(dir, digest, f.Name); err != nil {
			return err
		}
	}
	return nil
}

// shownAs is the job as its folder is called: an attempt that makes an SRPM begins
// before there is a version, and those who follow its log are in that folder.
func shownAs(d *store.Download, files []store.JobFile) []plague.Job {
	all := []plague.Job{d.Job}
	for _, f := range files {
		if d.Kind == plague.KindSRPM && f.RPM != nil {
			j := d.Job
			j.Version, j.Release = f.RPM.Version, f.RPM.Release
			all = append(all, j)
		}
	}
	return all
}

// show puts an artifact into a folder under a name, replacing what was there in one
// step.
func (s *Server) show(dir *durable.Dir, d artifact.Digest, name string) error {
	err := dir.Adopt(s.Artifacts.Path(d), name)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	next := durable.TempPrefix + name
	if err := removeIfThere(dir, next); err != nil {
		return err
	}
	if err := dir.Adopt(s.Artifacts.Path(d), next); err != nil {
		return err
	}
	return dir.Replace(next, name)
}

func removeIfThere(d *durable.Dir, name string) error {
	if err := d.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"plague"
)

// gitConfig is all the configuration that git sees: no hooks, no helpers, no
// submodules, no other server than the one that was asked.
const gitConfig = `[core]
	hooksPath = /dev/null
	fsmonitor = false
	attributesFile = /dev/null
[credential]
	helper =
[fetch]
	unpackLimit = 1
	recurseSubmodules = false
[submodule]
	recurse = false
[http]
	followRedirects = false
	lowSpeedLimit = 1000
	lowSpeedTime = 60
[transfer]
	bundleURI = false
[gc]
	auto = 0
[maintenance]
	auto = false
`

// fetched is the name under which what was asked for lies in our repository.
const fetched = "refs/plague/source"

// gitCall is a call of git in our own bare repository.
func (f *fetch) gitCall(args ...string) call {
	return call{
		args: append([]string{"git", "--git-dir=" + filepath.Join(f.scm, "repo.git")}, args...),
		env: []string{
			"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + filepath.Join(f.home, "gitconfig"), "GIT_ATTR_NOSYSTEM=1",
			"GIT_ALLOW_PROTOCOL=" + f.plan.at.protocol, "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=/bin/false", "SSH_ASKPASS=/bin/false",
			"GIT_NO_REPLACE_OBJECTS=1", "GIT_NO_LAZY_FETCH=1",
		},
	}
}

// git fetches a commit into a bare repository and writes its files from there,
// as they are. Nothing is ever checked out, so that neither hooks, attributes,
// filters nor submodules can have a say.
func (f *fetch) git(ctx context.Context) (string, error) {
	config := gitConfig
	if f.plan.at.protocol == "file" {
		config += "[safe]\n\tdirectory = " + f.plan.at.path + "\n"
	}
	if err := os.WriteFile(filepath.Join(f.home, "gitconfig"), []byte(config), 0o644); err != nil {
		return "", err
	}
	if err := f.run(ctx, f.gitCall("init", "--quiet", "--bare", "--template=")); err != nil {
		return "", err
	}
	id, err := f.gitCommit(ctx)
	if err != nil {
		return "", err
	}
	return id, f.gitTree(ctx, id)
}

// gitCommit fetches what the tag names and gives its commit.
func (f *fetch) gitCommit(ctx context.Context) (string, error) {
	tag := f.plan.Tag
	if commit.MatchString(tag) {
		return tag, f.gitReachable(ctx, tag)
	}
	ref, err := f.gitRef(ctx, tag)
	if err != nil {
		return "", err
	}
	err = f.run(ctx, f.gitCall("fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head", "--", f.plan.URL, "+"+ref+":"+fetched))
	if err != nil {
		return "", err
	}
	var id string
	said := &tail{}
	c := f.withText(&id, "rev-parse", "--verify", fetched+"^{commit}")
	c.said = said
	err = f.run(ctx, c)
	if id = strings.TrimSpace(id); err == nil && !commit.MatchString(id) {
		err = fmt.Errorf("git names %q as a commit", id)
	}
	if said.has("expected commit type") {
		err = refuse("%q is the tag of no commit", tag, "tag the commit that is to be built")
	}
	return id, err
}

// gitRef finds out whether a name is a tag or a branch; a tag comes first, as in
// git itself.
func (f *fetch) gitRef(ctx context.Context, name string) (string, error) {
	var list string
	said := &tail{}
	c := f.withText(&list, "ls-remote", "--quiet", "--", f.plan.URL, "refs/tags/"+name, "refs/heads/"+name)
	c.said = said
	if err := f.run(ctx, c); err != nil {
		if said.has("not found", "does not exist", "not exported", "does not appear to be a git repository") {
			return "", f.plan.absent("package", f.plan.Package)
		}
		return "", err
	}
	found := map[string]bool{}
	for line := range strings.Lines(list) {
		_, ref, _ := strings.Cut(strings.TrimSpace(line), "\t")
		found[ref] = true
	}
	for _, ref := range []string{"refs/tags/" + name, "refs/heads/" + name} {
		if found[ref] {
			return ref, nil
		}
	}
	return "", f.plan.absent("tag or branch", name)
}

// gitReachable fetches all branches and tags to see that a commit is in one of
// them. Servers hand out any commit they have, also one that somebody put into
// a fork of the repository, or took back.
func (f *fetch) gitReachable(ctx context.Context, id string) error {
	err := f.run(ctx, f.gitCall("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", f.plan.URL, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"))
	if err != nil {
		return err
	}
	var refs string
	said := &tail{}
	c := f.withText(&refs, "for-each-ref", "--count=1", "--contains="+id)
	c.said = said
	err = f.run(ctx, c)
	if err == nil && refs == "" || said.has("no such commit", "malformed object name", "not a commit") {
		return f.plan.absent("branch or tag with the commit", id)
	}
	return err
}

const maxList = 64 << 20 // bytes of a list of files

func (f *fetch) withText(into *string, args ...string) call {
	c := f.gitCall(args...)
	c.out = text(into, maxList)
	return c
}

// blob is a file of a commit.
type blob struct {
	mode, id, name string
	size           int64
}

// gitTree writes the files of a commit.
func (f *fetch) gitTree(ctx context.Context, id string) error {
	var list string
	if err := f.run(ctx, f.withText(&list, "ls-tree", "-r", "-z", "-l", "--full-tree", id)); err != nil {
		return err
	}
	blobs, err := parseTree(list)
	if err != nil {
		return err
	}
	var ids bytes.Buffer
	for _, b := range blobs {
		ids.WriteString(b.id + "\n")
	}
	c := f.gitCall("cat-file", "--batch", "--buffer")
	c.stdin = &ids
	c.out = func(r io.Reader) error { return f.gitFiles(bufio.NewReaderSize(r, 64<<10), blobs) }
	return f.run(ctx, c)
}

// parseTree reads git ls-tree -r -z -l: "mode type id size<tab>name<nul>".
func parseTree(list string) ([]blob, error) {
	var all []blob
	for entry := range strings.SplitSeq(strings.TrimSuffix(list, "\x00"), "\x00") {
		head, name, _ := strings.Cut(entry, "\t")
		fields := strings.Fields(head)
		if len(fields) != 4 {
			return nil, plague.Refuse(plague.ErrInvalid, "the commit has no files", "add a spec file to it")
		}
		if fields[1] == "commit" {
			return nil, refuse("%q is a submodule", name, "put its files into the package's repository, or a tar file of it into the lookaside")
		}
		size, err := strconv.ParseInt(fields[3], 10, 64)
		if err != nil || fields[1] != "blob" || !commit.MatchString(fields[2]) {
			return nil, refuse("%q is neither file nor link", name, "take it out of the package")
		}
		all = append(all, blob{fields[0], fields[2], name, size})
	}
	return all, nil
}

// lfsMark begins a file whose content Git LFS keeps elsewhere.
const lfsMark = "version https://git-lfs.github.com/spec/"

// gitFiles writes what git cat-file --batch gives: "id blob size\n", content, "\n".
func (f *fetch) gitFiles(r *bufio.Reader, blobs []blob) error {
	for _, b := range blobs {
		head, err := r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("read %q from git: %w", b.name, err)
		}
		if head != fmt.Sprintf("%s blob %d\n", b.id, b.size) {
			return fmt.Errorf("git gives %q for %q", head, b.name)
		}
		if err := f.gitFile(r, b); err != nil {
			return err
		}
		if end, err := r.ReadByte(); err != nil || end != '\n' {
			return errors.Join(fmt.Errorf("git gives more than %q", b.name), err)
		}
	}
	return nil
}

func (f *fetch) gitFile(r *bufio.Reader, b blob) error {
	if b.mode == "120000" {
		if b.size > maxPath {
			return badLink(b.name)
		}
		target := make([]byte, b.size)
		if _, err := io.ReadFull(r, target); err != nil {
			return err
		}
		return f.tree.link(b.name, string(target))
	}
	if start, _ := r.Peek(int(min(b.size, int64(len(lfsMark))))); string(start) == lfsMark {
		return refuse("%q is kept by Git LFS, which is not asked", b.name, "put the file into the lookaside")
	}
	return f.tree.file(b.name, b.mode == "100755", b.size, r)
}

package rpm

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// maxNames bounds the bytes of all file names of one package: folders are in the
// header once, and in its names as often as they have files.
const maxNames = 64 << 20

// maxFiles is far above the largest package that is known.
const maxFiles = 1 << 20

// Tags that traits are read from, from rpm's rpmtag.h.
const (
	tagDescription = 1005
	tagGroup       = 1016
	tagURL         = 1020
	tagFileModes   = 1030
	tagFileRdevs   = 1033
	tagFileLinks   = 1036
	tagFileFlags   = 1037
	tagFileUsers   = 1039
	tagFileGroups  = 1040
	tagDirIndexes  = 1116
	tagBaseNames   = 1117
	tagDirNames    = 1118
	tagFileCaps    = 5010
)

var traitRules = []rule{
	{tagDescription, shapeText, 1 << 10}, {tagGroup, shapeText, 1 << 10}, {tagURL, shapeText, 1},
	{tagFileModes, shapeShorts, maxFiles}, {tagFileRdevs, shapeShorts, maxFiles}, {tagFileFlags, shapeNumber, maxFiles},
	{tagFileLinks, shapeTexts, maxFiles}, {tagFileUsers, shapeTexts, maxFiles},
	{tagFileGroups, shapeTexts, maxFiles}, {tagFileCaps, shapeTexts, maxFiles}, {tagDirIndexes, shapeNumber, maxFiles},
	{tagBaseNames, shapeTexts, maxFiles}, {tagDirNames, shapeTexts, maxFiles},
}

// A bond is a kind of relation to other packages, by what it is called.
type bond struct {
	what string
	tags triple
}

func bonds() []bond {
	return []bond{
		{"requires", requires}, {"provides", provides},
		{"conflicts", triple{1054, 1053, 1055}}, {"obsoletes", triple{1090, 1114, 1115}},
		{"recommends", triple{5046, 5048, 5047}}, {"suggests", triple{5049, 5051, 5050}},
		{"supplements", triple{5052, 5054, 5053}}, {"enhances", triple{5055, 5057, 5056}},
	}
}

// Traits are what two builds of one noarch package must have in common, a line
// each, sorted: its texts, what it requires, provides and so on, its scripts, and
// the names, owners, modes, flags and link targets of its files. Files' sizes,
// digests and times are none, nor are time and host of the build: what is generated
// holds dates, and compresses one way here and another there. That is the choice of
// Koji. Errors about the content are ErrNotRPM.
func (h *Header) Traits() ([]string, error) {
	if err := h.main.checkShapes(traitRules); err != nil {
		return nil, err
	}
	var all []string
	for what, tag := range map[string]uint32{"summary": tagSummary, "description": tagDescription, "group": tagGroup, "license": tagLicense, "URL": tagURL} {
		if text := h.main.text(tag); text != "" {
			all = append(all, what+" "+short(text))
		}
	}
	for _, r := range bonds() {
		lines, err := h.main.related(r)
		if err != nil {
			return nil, err
		}
		all = append(all, lines...)
	}
	scripts, err := h.main.scripts()
	if err != nil {
		return nil, err
	}
	files, err := h.main.files()
	all = slices.Concat(all, scripts, files)
	slices.Sort(all)
	return slices.Compact(all), err
}

func (s *section) related(r bond) (lines []string, err error) {
	if err := s.checkShapes([]rule{{r.tags.name, shapeTexts, maxDependencies}, {r.tags.flags, shapeNumber, maxDependencies},
		{r.tags.evr, shapeTexts, maxDependencies}}); err != nil {
		return nil, err
	}
	if err := s.checkDependencies(r.tags); err != nil {
		return nil, err
	}
	for _, d := range s.dependencies(r.tags) {
		if !d.RPMLib() { // of the rpm that built it
			lines = append(lines, r.what+" "+d.String())
		}
	}
	return lines, nil
}

// scripts says of each script and trigger what it is, not by whom it is run when.
func (s *section) scripts() (lines []string, err error) {
	for what, tag := range map[string]uint32{
		"%pre": 1023, "%post": 1024, "%preun": 1025, "%postun": 1026, "%verifyscript": 1079, "%pretrans": 1151, "%posttrans": 1152,
		"%preuntrans": 5104, "%postuntrans": 5105, "triggers": 1065, "triggers on": 1066, "file triggers": 5066, "file triggers on": 5069,
		"transaction file triggers": 5076, "transaction file triggers on": 5079,
		"interpreter of %pre": 1085, "interpreter of %post": 1086, "interpreter of %preun": 1087, "interpreter of %postun": 1088,
		"interpreter of %pretrans": 1153, "interpreter of %posttrans": 1154, "interpreter of triggers": 1092,
	} {
		if err := s.checkShapes([]rule{{tag, shapeTexts, maxDependencies}}); err != nil {
			return nil, err
		}
		if texts := s.texts(tag); texts != nil {
			lines = append(lines, what+" "+short(strings.Join(texts, "\n")))
		}
	}
	return lines, nil
}

// fileTable are the parallel lists that say what each file is.
type fileTable struct {
	bases, dirs, users, groups, links, caps []string
	at, modes, rdevs, flags                 []uint64
}

// files says of each file all but what is in it.
func (s *section) files() ([]string, error) {
	t := fileTable{
		bases: s.texts(tagBaseNames), dirs: s.texts(tagDirNames), users: s.texts(tagFileUsers), groups: s.texts(tagFileGroups),
		links: s.texts(tagFileLinks), caps: s.texts(tagFileCaps), at: s.numbers(tagDirIndexes), modes: s.numbers(tagFileModes),
		rdevs: s.numbers(tagFileRdevs), flags: s.numbers(tagFileFlags),
	}
	n := len(t.bases)
	for _, have := range []int{len(t.at), len(t.modes), len(t.users), len(t.groups), len(t.rdevs), len(t.flags), len(t.links), cmp.Or(len(t.caps), n)} {
		if have != n {
			return nil, damaged("the %s has %d files, and %d of something that each has", s.what, n, have)
		}
	}
	lines, room := make([]string, n), maxNames
	for i, base := range t.bases {
		if t.at[i] >= uint64(len(t.dirs)) {
			return nil, damaged("the %s has %d folders, and a file in folder %d", s.what, len(t.dirs), t.at[i])
		}
		dir := t.dirs[t.at[i]]
		if room -= len(dir) + len(base); room < 0 {
			return nil, damaged("the %s has more than %d bytes of file names", s.what, maxNames)
		}
		lines[i] = "file " + dir + base + t.line(i)
	}
	return lines, nil
}

func (t *fileTable) line(i int) string {
	line := fmt.Sprintf(" %06o %s:%s", t.modes[i], t.users[i], t.groups[i])
	if t.flags[i] != 0 { // %config, %doc and so on
		line += fmt.Sprintf(" flags %x", t.flags[i])
	}
	if t.rdevs[i] != 0 {
		line += fmt.Sprintf(" device %x", t.rdevs[i])
	}
	if t.links[i] != "" {
		line += " -> " + t.links[i]
	}
	if len(t.caps) > 0 && t.caps[i] != "" {
		line += " " + t.caps[i]
	}
	return line
}

// short keeps a text of one line, and stands for any other.
func short(text string) string {
	if len(text) <= 100 && !strings.Contains(text, "\n") {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("of %d bytes (%x…)", len(text), sum[:4])
}

// Likeness is the SHA-256 of traits, hexadecimal.
func Likeness(traits []string) string {
	sum := sha256.New()
	for _, line := range traits {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(line)))
		sum.Write(size[:])
		sum.Write([]byte(line))
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Differences says in one line in which traits two builds differ, a few of them,
// each with the build that has it. Both are sorted.
func Differences(a, b []string, nameA, nameB string) string {
	const most = 5
	var all []string
	more := 0
	only := func(name string, has, lacks []string) {
		for _, line := range has {
			if _, found := slices.BinarySearch(lacks, line); found {
				continue
			}
			if len(all) == most {
				more++
				continue
			}
			all = append(all, "only for "+name+": "+line)
		}
	}
	only(nameA, a, b)
	only(nameB, b, a)
	if more > 0 {
		all = append(all, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, "; ")
}

package buildroot

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"plague"
	"plague/internal/rpm"
)

// A kind of programs is told by how they begin.
type kind struct {
	class   elf.Class
	data    elf.Data
	machine elf.Machine
}

// kindOf gives the programs of an arch.
func kindOf(arch string) (k kind, known bool) {
	k, known = map[string]kind{
		"aarch64":     {elf.ELFCLASS64, elf.ELFDATA2LSB, elf.EM_AARCH64},
		"arm":         {elf.ELFCLASS32, elf.ELFDATA2LSB, elf.EM_ARM},
		"armhfp":      {elf.ELFCLASS32, elf.ELFDATA2LSB, elf.EM_ARM},
		"i386":        {elf.ELFCLASS32, elf.ELFDATA2LSB, elf.EM_386},
		"loongarch64": {elf.ELFCLASS64, elf.ELFDATA2LSB, elf.EM_LOONGARCH},
		"ppc64":       {elf.ELFCLASS64, elf.ELFDATA2MSB, elf.EM_PPC64},
		"ppc64le":     {elf.ELFCLASS64, elf.ELFDATA2LSB, elf.EM_PPC64},
		"riscv64":     {elf.ELFCLASS64, elf.ELFDATA2LSB, elf.EM_RISCV},
		"s390x":       {elf.ELFCLASS64, elf.ELFDATA2MSB, elf.EM_S390},
		"x86_64":      {elf.ELFCLASS64, elf.ELFDATA2LSB, elf.EM_X86_64},
	}[rpm.Family(arch)]
	return k, known
}

// header is the begin of a program as distributions make them: position independent.
func (k kind) header() []byte {
	h := append(append([]byte(elf.ELFMAG), byte(k.class), byte(k.data), byte(elf.EV_CURRENT)), make([]byte, elf.EI_NIDENT-7)...)
	var order binary.AppendByteOrder = binary.LittleEndian
	if k.data == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	return order.AppendUint16(order.AppendUint16(h, uint16(elf.ET_DYN)), uint16(k.machine))
}

// Emulated says whether this machine's processor does not run programs of an
// arch. Of 32-bit ARM some 64-bit ones do and others do not: they count as able.
func Emulated(arch string) bool { return emulated(runtime.GOARCH, arch) }

func emulated(machine, arch string) bool {
	runs := map[string][]string{"amd64": {"x86_64", "i386"}, "386": {"i386"}, "arm64": {"aarch64", "arm", "armhfp"}}[machine]
	return runs != nil && arch != rpm.Noarch && !slices.Contains(runs, rpm.Family(arch))
}

// Emulator is nil when the kernel runs programs of an emulated arch by an emulator,
// in any buildroot. Else the error says what to do.
func Emulator(arch string) error { return emulator("/proc/sys/fs/binfmt_misc", arch) }

func emulator(dir, arch string) error {
	refuse := func(why, remedy string) error {
		return plague.Refuse(plague.ErrUnavailable, fmt.Sprintf("programs of %s do not run on this machine: %s", arch, why), remedy)
	}
	k, known := kindOf(arch)
	if !known {
		return refuse("no emulator for it is known here", "")
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	switch {
	case err != nil:
		return refuse("no emulator can be registered, for binfmt_misc is not mounted", "mount -t binfmt_misc binfmt_misc "+dir)
	case strings.TrimSpace(string(status)) != "enabled":
		return refuse("its emulators are switched off", "echo 1 >"+dir+"/status")
	}
	takers, err := binfmts(dir, k.header())
	switch {
	case err != nil:
		return fmt.Errorf("look for an emulator of %s: %w", arch, err)
	case len(takers) == 0:
		return refuse("no emulator for them is registered", "apt-get install qemu-user-static, or dnf install qemu-user-static, and systemctl restart systemd-binfmt")
	}
	// of several the kernel takes the newest, which they do not tell
	if !slices.ContainsFunc(takers, func(b binfmt) bool { return strings.Contains(b.flags, "F") }) {
		return refuse(fmt.Sprintf("the emulator %s (%s) would be looked for in each buildroot, where it is not", takers[0].interpreter, takers[0].name), "register it with the flag F")
	}
	return nil
}

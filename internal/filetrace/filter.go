//go:build linux && amd64

package filetrace

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	seccompSetModeFilter = 1
	seccompRetAllow      = 0x7fff0000
	seccompRetTrace      = 0x7ff00000
)

// program is a filter for seccomp(2) that stops the calls of these numbers for
// the tracer and lets the others through, as the kernel reads it from memory.
// Calls of another architecture do not come from the programs that are run here.
func program(calls []uint32) []byte {
	type instruction struct {
		code   uint16
		jt, jf uint8
		k      uint32
	}
	list := []instruction{{unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, 0, 0, 0}} // seccomp_data.nr
	for i, nr := range calls {
		list = append(list, instruction{unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, uint8(len(calls) - i), 0, nr})
	}
	list = append(list,
		instruction{unix.BPF_RET | unix.BPF_K, 0, 0, seccompRetAllow},
		instruction{unix.BPF_RET | unix.BPF_K, 0, 0, seccompRetTrace})
	var b []byte
	for _, in := range list {
		b = binary.LittleEndian.AppendUint16(b, in.code)
		b = append(b, in.jt, in.jf)
		b = binary.LittleEndian.AppendUint32(b, in.k)
	}
	return b
}

// install has the program, which is about to run its first instruction, make the
// two calls that put the filter in place.
func install(pid int, calls []uint32) error {
	var saved unix.PtraceRegs
	if err := unix.PtraceGetRegs(pid, &saved); err != nil {
		return fmt.Errorf("could not read registers: %w", err)
	}
	code := make([]byte, 2)
	if _, err := unix.PtracePeekText(pid, uintptr(saved.Rip), code); err != nil {
		return fmt.Errorf("could not read the program's first instruction: %w", err)
	}
	if _, err := unix.PtracePokeText(pid, uintptr(saved.Rip), []byte{0x0f, 0x05}); err != nil { // syscall
		return fmt.Errorf("could not write an instruction: %w", err)
	}
	filter := program(calls)
	// Below the stack and its red zone.
	at := (saved.Rsp - 4096 - uint64(len(filter))) &^ 15
	header := binary.LittleEndian.AppendUint64(nil, uint64(len(filter)/8)) // struct sock_fprog
	header = binary.LittleEndian.AppendUint64(header, at+16)
	if _, err := unix.PtracePokeData(pid, uintptr(at), append(header, filter...)); err != nil {
		return fmt.Errorf("could not write the filter: %w", err)
	}
	for _, c := range [][4]uint64{
		{unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0},
		{unix.SYS_SECCOMP, seccompSetModeFilter, 0, at},
	} {
		regs := saved
		regs.Rax, regs.Rdi, regs.Rsi, regs.Rdx, regs.R10, regs.R8 = c[0], c[1], c[2], c[3], 0, 0
		regs.Orig_rax = ^uint64(0)
		if err := step(pid, &regs); err != nil {
			return err
		}
		if regs.Rax != 0 {
			return fmt.Errorf("could not install a filter of system calls: %w", syscall.Errno(-regs.Rax))
		}
	}
	if _, err := unix.PtracePokeText(pid, uintptr(saved.Rip), code); err != nil {
		return fmt.Errorf("could not write an instruction: %w", err)
	}
	return unix.PtraceSetRegs(pid, &saved)
}

// step runs one instruction.
func step(pid int, regs *unix.PtraceRegs) error {
	if err := unix.PtraceSetRegs(pid, regs); err != nil {
		return fmt.Errorf("could not set registers: %w", err)
	}
	if err := unix.PtraceSingleStep(pid); err != nil {
		return fmt.Errorf("could not step: %w", err)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, unix.WALL, nil); err != nil {
		return fmt.Errorf("could not wait: %w", err)
	}
	if !status.Stopped() || status.StopSignal() != unix.SIGTRAP {
		return fmt.Errorf("the program did not take a step: wait status %#x", int(status))
	}
	return unix.PtraceGetRegs(pid, regs)
}

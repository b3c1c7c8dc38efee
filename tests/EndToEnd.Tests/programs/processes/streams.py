"""Programs of everyday that use a socket as a stream: by the shell's /dev/tcp, and started by a super server with the connection as fds 0 to 2. See common.py."""
import os, subprocess, sys, time
from common import *


def bash(script):
    r = subprocess.run(["bash", "-c", script, "bash", ADDRESS, str(PORT)], capture_output=True, text=True, timeout=60)
    return r.returncode, r.stdout, r.stderr.replace(ADDRESS, "ADDRESS").replace(str(PORT), "PORT")


def served_by(*command):
    """A super server of our own starts the command; the peer sends it a line."""
    s, port = listener()
    def server():
        c, _ = s.accept()
        for fd in range(3):
            os.dup2(c.fileno(), fd)
        os.execvp(command[0], command)
    pid = in_child(server)
    s.close()
    return dial(port, "a line"), reap(pid)


@case
def bash_dev_tcp_both_ways():
    return bash('''exec 3<>/dev/tcp/$1/$2; echo echo >&3; printf "hello %d\\n" 5 >&3; read -r -u 3 x; echo "got $x"
                   echo again >&3; IFS= read -r -t 10 y <&3; echo "got $y"; exec 3>&-; echo closed >&3 || echo "no more"''')


@case
def bash_writes_to_dev_tcp_once():
    name = f"bash-{os.getpid()}"
    # Closed with an answer unread, which is a reset if the answer was faster.
    return bash(f'printf "hold {name}\\nten bytes." > /dev/tcp/$1/$2'), ended(name) in ("eof 10", "reset")


@case
def bash_writes_and_closes():
    name = f"bash-close-{os.getpid()}"
    return bash(f'exec 3<>/dev/tcp/$1/$2; echo "hold {name}" >&3; read -r -u 3 x; echo $x; printf "ten bytes." >&3; exec 3>&-'), ended(name)


@case
def bash_much_through_a_pipe():
    return bash('''exec 3<>/dev/tcp/$1/$2; { echo echo; for i in {1..5000}; do echo "line $i"; done; echo end; } >&3 &
                   n=0; while read -r x && [[ $x != end ]]; do n=$((n + 1)); done <&3; echo $n; wait''')


@case
def bash_reads_with_cat():
    return bash('exec 3<>/dev/tcp/$1/$2; echo "alive nobody" >&3; cat <&3; echo " $?"')


@case
def bash_to_nowhere():
    code, out, err = bash("echo x > /dev/tcp/$1/1; echo $?")
    return code, out, "refused" in err


@case
def bash_serves_a_line():
    return served_by("bash", "-c", 'read -r x; echo "got $x"; printf "%s\\n" printed; echo error >&2')


@case
def sh_and_cat():
    return served_by("sh", "-c", "read x; echo \"got $x\"; echo twice | cat; echo end")


@case
def perl_standard_files():
    return served_by("perl", "-e", '$| = 1; my $x = <STDIN>; print "got $x"; printf STDOUT "%d\\n", 42; print STDERR "error\\n"; close(STDOUT);')


@case
def perl_sockets():
    script = '''use IO::Socket::INET; my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => $ARGV[1]) or die; print $s "echo\\n"; print $s "one\\ntwo\\n";
                $s->flush; print scalar <$s>; print scalar <$s>; open(my $d, "+<&", $s) or die; print $d "dup\\n"; close($d); print scalar <$s>; close($s); print "end\\n"'''
    r = subprocess.run(["perl", "-e", script, ADDRESS, str(PORT)], capture_output=True, text=True, timeout=60)
    return r.returncode, r.stdout, r.stderr


@case
def sed_line_by_line():
    return served_by("sed", "-u", "s/line/answer/;q")


@case
def head():
    return served_by("head", "-n", "1")


@case
def python():
    return served_by(sys.executable, "-c", "import sys; print('got', sys.stdin.readline().strip()); print('error', file=sys.stderr)")


def started_by(*command):
    """A super server that somebody else wrote."""
    s, port = listener()
    s.close()
    p = subprocess.Popen([c.replace("PORT", str(port)) for c in command], stderr=subprocess.DEVNULL)
    try:
        answers = []
        for i in range(3):
            for _ in range(200):
                answer = dial(port, f"line {i}")
                if answer != "ConnectionRefusedError":
                    break
                time.sleep(0.05)
            answers.append(answer)
        return answers
    finally:
        p.terminate()
        p.wait()


@case
def socat():
    return started_by("socat", "TCP-LISTEN:PORT,reuseaddr,fork", "SYSTEM:read x; echo \"socat $x\",nofork")


@case
def systemd_socket_activate():
    return started_by("systemd-socket-activate", "--inetd", "-a", "-l", "0.0.0.0:PORT", "bash", "-c", 'read -r x; printf "activated %s\\n" "$x"')


main()

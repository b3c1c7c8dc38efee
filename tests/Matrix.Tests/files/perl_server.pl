# HTTP::Daemon, a child per connection; a line server on IO::Socket with select beside it. SIGTERM ends it.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use HTTP::Daemon;
use IO::Select;
use IO::Socket::IP;

my $lines = IO::Socket::IP->new(LocalAddr => '0.0.0.0', LocalPort => 9502, Listen => 64, ReuseAddr => 1) or die "lines: $@";
my $pid = fork // die;
if ($pid == 0) {
    my $set = IO::Select->new($lines);
    while (my @ready = $set->can_read) {
        for my $s (@ready) {
            if ($s == $lines) {
                $set->add($lines->accept);
            } elsif (defined(my $line = <$s>)) {
                print $s scalar reverse($line =~ s/\n//r), "\n";
                $s->flush;
            } else {
                $set->remove($s);
                close $s;
            }
        }
    }
    exit;
}
$SIG{CHLD} = 'IGNORE';
my $daemon = HTTP::Daemon->new(LocalAddr => '0.0.0.0', LocalPort => 9501, Listen => 64, ReuseAddr => 1) or die "http: $@";
$SIG{TERM} = sub { kill TERM => $pid; exit 0 };
while (1) {
    my $c = $daemon->accept or next;
    if (fork == 0) {
        $SIG{TERM} = 'DEFAULT';
        while (my $r = $c->get_request) {
            $c->send_response(HTTP::Response->new(200, 'OK', undef, join(' ', $r->method, $r->uri->path, $c->peerhost, sha256_hex($r->content)) . "\n"));
        }
        exit 0;
    }
    close $c;
}

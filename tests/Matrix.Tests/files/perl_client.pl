# HTTP::Tiny with keep-alive, and lines by IO::Socket::IP.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use HTTP::Tiny;
use IO::Socket::IP;

my $host = $ARGV[0];
my $http = HTTP::Tiny->new(timeout => 20);
my $last;
$last = $http->get("http://$host:9501/$_") for 1 .. 30;
print "$last->{status} $last->{content}";
my $data = join ',', 1 .. 300000;
my $posted = $http->post("http://$host:9501/post", { content => $data })->{content};
print $posted =~ /@{[sha256_hex($data)]}/ ? "posted\n" : "differs: $posted";
print $http->get("http://$host:9599/")->{content};
for my $n (1 .. 20) {
    my $s = IO::Socket::IP->new(PeerHost => $host, PeerPort => 9502) or die "connect: $@";
    print $s "line $n\n";
    $s->flush;
    print scalar <$s>;
    close $s;
}

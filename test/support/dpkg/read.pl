# Reads sources as dpkg does, and prints one line for each. Arguments: a file with *.dsc stanzas; one with the texts of
# debian/control and debian/changelog, which end with a line "\f"; the output.
use strict; use warnings;
use Dpkg::Control; use Dpkg::Control::Info; use Dpkg::Changelog::Debian; use Dpkg::Deps; use Dpkg::Version;

my ($dscs, $trees, $output, @contexts) = @ARGV;
my @fields = qw(Build-Depends Build-Depends-Arch Build-Depends-Indep);
my %versions;
open my $out, '>', $output or die;

sub relations {
    my ($stanza) = @_;
    my @groups;
    foreach my $field (@fields) {
        next unless defined $stanza->{$field};
        my $deps = deps_parse($stanza->{$field}, build_dep => 1) // die "cannot parse $field of $stanza->{Source}";
        push @groups, map { [ $_->isa('Dpkg::Deps::OR') ? $_->get_deps() : $_ ] } $deps->get_deps();
    }
    $versions{$_->{version}} = 1 foreach grep { defined $_->{version} } map { @$_ } @groups;
    return map { applied($_, \@groups) } @contexts;
}

sub applied {
    my ($context, $groups) = @_;
    my ($arch, @profiles) = split / /, $context;
    my @found;
    foreach my $group (@$groups) {
        my @terms = grep { $_->arch_is_concerned($arch) and $_->profile_is_concerned(\@profiles) } @$group;
        push @found, join '|', map { join ' ', grep { defined } @{$_}{qw(package relation version)} } @terms if @terms;
    }
    return join ',', @found;
}

sub dsc {
    my ($fh) = @_;
    my $dsc = Dpkg::Control->new(type => CTRL_PKG_SRC);
    return unless $dsc->parse($fh, 'dsc');
    $versions{$dsc->{Version}} = 1;
    my @packages = map { [ split ] } grep { length } split /\n/, $dsc->{'Package-List'} // '';
    my @names = @packages ? map { $_->[0] } @packages : split /\s*,\s*/, $dsc->{Binary};
    my @arches = map { my ($name, @words) = @$_; map { /^arch=(.*)/ ? "$name=$1" : () } @words } @packages;
    return join "\x1f", $dsc->{Source}, $dsc->{Version}, "@names", "@arches", relations($dsc);
}

sub tree {
    my ($fh) = @_;
    my $text = do { local $/ = "\n\f\n"; <$fh> } // return;
    my ($control, $changelog) = split /\n\x1e\n/, $text;
    open my $control_fh, '<', \$control or die;
    open my $changelog_fh, '<', \$changelog or die;
    my $info = Dpkg::Control::Info->new(filename => undef);
    $info->parse($control_fh, 'control');
    my $parsed = Dpkg::Changelog::Debian->new();
    $parsed->set_options(range => { count => 1 }, verbose => 0);
    $parsed->parse($changelog_fh, 'changelog');
    my ($entry) = $parsed->format_range('dpkg', { count => 1 });
    my @packages = $info->get_packages();
    my @names = map { $_->{Package} } @packages;
    my @arches = map { "$_->{Package}=" . join ',', split ' ', $_->{Architecture} } @packages;
    return join "\x1f", $entry->{Source}, $entry->{Version}, $entry->{Timestamp}, "@names", "@arches",
        relations($info->get_source());
}

foreach ([ $dscs, \&dsc ], [ $trees, \&tree ]) {
    my ($file, $read) = @$_;
    open my $fh, '<', $file or die;
    while (defined(my $line = $read->($fh))) { print $out "$line\n" }
    print $out "\f\n";
}
my @sorted = sort { version_compare($a, $b) or $a cmp $b } keys %versions;
print $out "$sorted[0]\n";
print $out version_compare($sorted[$_ - 1], $sorted[$_]), " $sorted[$_]\n" foreach 1 .. $#sorted;

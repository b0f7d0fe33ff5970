# What others get pgmaint by: META.json by the rules of the PGXN Meta Spec 1.0.0,
# sources that build where they are unpacked, and a Debian package of the same
# version and licence.  Each rule about META.json is tried on a bad example too.
#
# long: one server is enough

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use File::Find;
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

my $root = abs_path(dirname(__FILE__) . '/../../..');

sub slurp
{
	my ($path) = @_;
	open my $in, '<', $path or die "could not read $path: $!";
	local $/;
	return <$in>;
}

#
# META.json
#

my $number = qr/(?:0|[1-9][0-9]*)/;
my $label = qr/[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*/;
my $version = qr/$number\.$number\.$number(?:-$label)?(?:\+$label)?/;
my $range = qr/(?:(?:[<>]=?|==|!=)\s*)?$version/;
my $term = qr{[^\s[:cntrl:]/\\]{2,}};
my $url = qr{[A-Za-z][A-Za-z0-9+.-]*://[^/\s]\S*};

my %licenses = map { $_ => 1 } qw(agpl_3 apache_1_1 apache_2_0 artistic_1 artistic_2 bsd freebsd gfdl_1_2
  gfdl_1_3 gpl_1 gpl_2 gpl_3 lgpl_2_1 lgpl_3_0 mit mozilla_1_0 mozilla_1_1 openssl perl_5 postgresql
  qpl_1_0 ssleay sun zlib open_source restricted unrestricted unknown);

my @complaints;

# Takes the value if it is a string that matches.
sub look
{
	my ($where, $value, $pattern, $what) = @_;
	push @complaints, "$where is not $what"
	  unless defined $value && !ref $value && $value =~ /\A$pattern\z/;
}

sub is_map
{
	my ($where, $value) = @_;
	return 1 if ref $value eq 'HASH' && %$value;
	push @complaints, "$where is not an object with something in it";
	return 0;
}

# The keys of an object: those that must be there, those that may.  Others begin
# with x_.
sub look_at_keys
{
	my ($where, $map, $required, $optional) = @_;
	my %known = map { $_ => 1 } @$required, @$optional;

	push @complaints, "$where lacks $_" foreach grep { !defined $map->{$_} } @$required;
	push @complaints, "$where has the unknown key $_"
	  foreach grep { !$known{$_} && !/^x_/i } sort keys %$map;
}

sub look_at_license
{
	my ($license) = @_;

	if (ref $license eq 'HASH')
	{
		look("the link to the license $_", $license->{$_}, $url, 'a URL') foreach sort keys %$license;
		return;
	}
	my @list = ref $license eq 'ARRAY' ? @$license : $license;
	push @complaints, 'license is empty' unless @list;
	push @complaints, 'license is not one that the spec lists' if grep { !defined || !$licenses{$_} } @list;
}

sub look_at_prereqs
{
	my ($prereqs) = @_;

	is_map('prereqs', $prereqs) or return;
	look_at_keys('prereqs', $prereqs, [], [qw(configure build test runtime develop)]);
	foreach my $phase (sort keys %$prereqs)
	{
		is_map("prereqs.$phase", $prereqs->{$phase}) or next;
		look_at_keys("prereqs.$phase", $prereqs->{$phase}, [], [qw(requires recommends suggests conflicts)]);
		foreach my $relation (sort keys %{ $prereqs->{$phase} })
		{
			my $wanted = $prereqs->{$phase}{$relation};

			is_map("prereqs.$phase.$relation", $wanted) or next;
			foreach my $name (sort keys %$wanted)
			{
				look("the name $name", $name, $term, 'a term');
				look("the version of $name", $wanted->{$name}, qr/0|$range(?:,\s*$range)*/, 'a range of versions');
			}
		}
	}
}

sub look_at_resources
{
	my ($resources) = @_;
	my ($tracker, $repository) = @$resources{qw(bugtracker repository)};

	look_at_keys('resources', $resources, [], [qw(homepage bugtracker repository license)]);
	look('homepage', $resources->{homepage}, $url, 'a URL') if exists $resources->{homepage};
	if (exists $resources->{bugtracker} && is_map('bugtracker', $tracker))
	{
		look_at_keys('bugtracker', $tracker, [], [qw(web mailto)]);
		look('bugtracker.web', $tracker->{web}, $url, 'a URL') if exists $tracker->{web};
		look('bugtracker.mailto', $tracker->{mailto}, qr/[^\s@]+@[^\s@]+/, 'an address') if exists $tracker->{mailto};
	}
	if (exists $resources->{repository} && is_map('repository', $repository))
	{
		look_at_keys('repository', $repository, [], [qw(web url type)]);
		look("repository.$_", $repository->{$_}, $url, 'a URL') foreach grep { exists $repository->{$_} } qw(web url);
		look('repository.type', $repository->{type}, qr/[a-z]+/, 'in lower case') if exists $repository->{type};
	}
}

sub meta_complaints
{
	my ($meta) = @_;

	@complaints = ();
	look_at_keys('META.json', $meta,
		[qw(name version abstract maintainer license provides meta-spec)],
		[qw(description generated_by tags no_index prereqs release_status resources)]);
	look('name', $meta->{name}, $term, 'a term');
	look('version', $meta->{version}, $version, 'a semantic version');
	look($_, $meta->{$_}, qr/.+/s, 'a text') foreach grep { exists $meta->{$_} } qw(abstract description generated_by);

	my @maintainers = ref $meta->{maintainer} eq 'ARRAY' ? @{ $meta->{maintainer} } : $meta->{maintainer};
	push @complaints, 'maintainer is empty' unless @maintainers;
	look('maintainer', $_, qr/\S.*\s<[^\s<>@]+@[^\s<>@]+\.[^\s<>@]+>/, 'a name and an address') foreach @maintainers;
	look_at_license($meta->{license});

	if (is_map('provides', $meta->{provides}))
	{
		foreach my $name (sort keys %{ $meta->{provides} })
		{
			my $extension = $meta->{provides}{$name};

			look("the name $name", $name, $term, 'a term');
			is_map("provides.$name", $extension) or next;
			look_at_keys("provides.$name", $extension, [qw(file version)], [qw(abstract docfile)]);
			look("provides.$name.version", $extension->{version}, $version, 'a semantic version');
			look("provides.$name.$_", $extension->{$_}, qr{[^/].*}, 'a relative path')
			  foreach grep { exists $extension->{$_} } qw(file docfile);
		}
	}
	if (is_map('meta-spec', $meta->{'meta-spec'}))
	{
		look_at_keys('meta-spec', $meta->{'meta-spec'}, ['version'], ['url']);
		look('meta-spec.version', $meta->{'meta-spec'}{version}, qr/1\.0\.[0-9]+/, 'version 1.0');
		look('meta-spec.url', $meta->{'meta-spec'}{url}, qr{https?://pgxn\.org/meta/spec\.txt}, "the spec's")
		  if exists $meta->{'meta-spec'}{url};
	}
	look('release_status', $meta->{release_status}, qr/stable|testing|unstable/, 'one that the spec lists')
	  if exists $meta->{release_status};
	if (exists $meta->{tags})
	{
		my @tags = ref $meta->{tags} eq 'ARRAY' ? @{ $meta->{tags} } : ();

		push @complaints, 'tags is not a list of tags' unless @tags;
		look('a tag', $_, qr{[^[:cntrl:]/\\]{2,255}}, 'a tag') foreach @tags;
	}
	look_at_prereqs($meta->{prereqs}) if exists $meta->{prereqs};
	look_at_resources($meta->{resources})
	  if exists $meta->{resources} && is_map('resources', $meta->{resources});
	return [@complaints];
}

my $text = slurp("$root/META.json");
my $meta = decode_json($text);

is_deeply(meta_complaints($meta), [], 'META.json follows the spec');

foreach my $good (
	[ 'a single maintainer', sub { $_[0]{maintainer} = 'A Name <a.name@pgmaint.example>' } ],
	[ 'a license by its link', sub { $_[0]{license} = { PostgreSQL => 'https://www.postgresql.org/about/licence' } } ],
	[ 'a pre-release', sub { $_[0]{version} = '1.0.0-rc.1+build' } ],
	[ 'a range', sub { $_[0]{prereqs}{build}{recommends} = { PostgreSQL => '>= 14.0.0, != 15.0.0, <20.0.0' } } ],
	[ 'a key of its own', sub { $_[0]{x_note} = 'a note' } ],
	[ 'resources', sub { $_[0]{resources} = { homepage => 'https://pgmaint.example/',
				bugtracker => { mailto => 'bugs@pgmaint.example' },
				repository => { url => 'git://pgmaint.example/pgmaint.git', type => 'git' } } } ])
{
	my ($name, $change) = @$good;
	my $copy = decode_json($text);
	$change->($copy);
	is_deeply(meta_complaints($copy), [], "$name passes");
}

foreach my $bad (
	[ 'no abstract', sub { delete $_[0]{abstract} }, qr/lacks abstract/ ],
	[ 'an unknown key', sub { $_[0]{author} = 'somebody' }, qr/unknown key author/ ],
	[ 'a name of two words', sub { $_[0]{name} = 'pg maint' }, qr/name is not a term/ ],
	[ 'a version of two numbers', sub { $_[0]{version} = '0.1' }, qr/version is not a semantic/ ],
	[ 'a version with a zero before it', sub { $_[0]{version} = '0.01.0' }, qr/version is not a semantic/ ],
	[ 'a maintainer without address', sub { $_[0]{maintainer} = ['pgmaint maintainers'] }, qr/not a name and an address/ ],
	[ 'a license of no list', sub { $_[0]{license} = 'PostgreSQL' }, qr/not one that the spec lists/ ],
	[ 'a license without link', sub { $_[0]{license} = { PostgreSQL => 'yes' } }, qr/not a URL/ ],
	[ 'nothing provided', sub { $_[0]{provides} = {} }, qr/provides is not an object with something/ ],
	[ 'no file', sub { delete $_[0]{provides}{pgmaint}{file} }, qr/provides\.pgmaint lacks file/ ],
	[ 'a path from the root', sub { $_[0]{provides}{pgmaint}{docfile} = '/README.md' }, qr/not a relative path/ ],
	[ 'a spec that is none', sub { $_[0]{'meta-spec'}{version} = '3.0.0' }, qr/meta-spec\.version/ ],
	[ 'a release status', sub { $_[0]{release_status} = 'beta' }, qr/release_status is not/ ],
	[ 'a tag with a slash', sub { push @{ $_[0]{tags} }, 'a/b' }, qr/not a tag/ ],
	[ 'an unknown phase', sub { $_[0]{prereqs}{install} = { requires => { plpgsql => 0 } } }, qr/unknown key install/ ],
	[ 'an unknown relation', sub { $_[0]{prereqs}{runtime}{needs} = { plpgsql => 0 } }, qr/unknown key needs/ ],
	[ 'a prerequisite of two numbers', sub { $_[0]{prereqs}{runtime}{requires}{PostgreSQL} = '14.0' }, qr/version of PostgreSQL/ ],
	[ 'a home that is no URL', sub { $_[0]{resources} = { homepage => 'pgmaint' } }, qr/homepage is not a URL/ ])
{
	my ($name, $change, $expected) = @$bad;
	my $copy = decode_json($text);
	$change->($copy);
	like(join("\n", @{ meta_complaints($copy) }), $expected, "$name: found");
}

#
# The distribution, which is these sources without what was built of them
#

my $provided = $meta->{provides}{pgmaint};
my ($default_version) = slurp("$root/pgmaint.control") =~ /^default_version = '(.*)'$/m;

ok(-s "$root/$provided->{file}", 'the file that META.json names is there');
ok(-s "$root/$provided->{docfile}", 'and so is the documentation');
like($provided->{file}, qr/\.sql$/, "the file's name is one that pgxn's load takes for an extension");
unlike($provided->{file}, qr{^sql/pgmaint--}, 'the file is none that the build makes');

my $place = tempdir(CLEANUP => 1);
my ($source, $target) = ("$place/pgmaint", "$place/installed");
mkdir $_ foreach $source, $target;
foreach my $item (qw(LICENSE META.json Makefile README.md pgmaint.control sql src))
{
	system('cp', '-R', "$root/$item", $source) == 0 or die "could not copy $item";
}
find(sub { unlink if /\.(?:o|bc|so)$/ }, $source);
unlink glob "$source/sql/pgmaint--*.sql";

my %environment = %ENV;
delete @environment{grep { /^(?:MAKE|MFLAGS$)/ } keys %environment};
my ($log, $status);
{
	local %ENV = %environment;
	$log = `make -s -j2 -C '$source' PG_CONFIG=pg_config with_llvm=no COPT=-O0 DESTDIR='$target' install 2>&1`;
	$status = $?;
}
is($status, 0, 'the sources build and install where they are unpacked') or diag($log);

my %installed;
find({ no_chdir => 1, wanted => sub { $installed{ basename($_) } = $_ if -f } }, $target);
my @scripts = map { basename($_) } glob("$source/sql/released/*.sql"), glob("$source/sql/pgmaint--*.sql");
is_deeply([ sort keys %installed ], [ sort 'pgmaint.so', 'pgmaint.control', @scripts ],
	'what is installed is the library, the control file and the scripts');
ok($installed{"pgmaint--$default_version.sql"}, 'with the script of this version');

#
# The Debian package
#

my ($package_version) = slurp("$root/debian/changelog") =~ /\Apgmaint \(([^)]+)\) /;
like(slurp("$root/debian/rules"), qr/^\tdh_installdocs --all README\.md docs contrib$/m, 'the package has README.md, docs and contrib');
like($package_version, qr/^\Q$default_version\E-[0-9]/, 'debian/changelog has the version of pgmaint.control');

(my $license = slurp("$root/LICENSE")) =~ s/\A.*?(?=Permission to use)//s;
my ($copyright) = slurp("$root/debian/copyright") =~ /(Permission to use.*)/s;
$copyright =~ s/^ \.?//mg;
is($copyright, $license, 'debian/copyright has the text of LICENSE');

my ($oldest) = slurp("$root/debian/pgversions") =~ /^(\d+)\+$/m;
is($meta->{prereqs}{runtime}{requires}{PostgreSQL}, "$oldest.0.0",
	'debian/pgversions and META.json begin with the same server');

# what pg_buildext makes of it where PostgreSQL 15 is the only server
(my $control = slurp("$root/debian/control.in")) =~ s/PGVERSION/15/g;
is(slurp("$root/debian/control"), $control, 'debian/control is that of debian/control.in for PostgreSQL 15');

done_testing();

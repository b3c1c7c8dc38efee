using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>wget: mirroring, continuing, retrying, from Python's http.server with threads.</summary>
[Collection(MatrixFixture.Name)]
public sealed class WgetTests(MatrixFixture matrix)
{
    [ProgramTheory, EveryNsm]
    public void Mirrors_and_continues(string nsm) => matrix.Same(nsm, connections: 10, bytes: 10L << 20, world =>
    {
        _ = world.WriteNoise("www/big.bin", 8 << 20);
        for (int n = 0; n < 12; n++)
        {
            _ = world.Write($"www/folder{n % 3}/page{n}.html", $"<a href='page{n + 3}.html'>next</a>\n");
        }

        _ = world.Write("www/index.html", "<a href=big.bin>b</a><a href=folder0/page0.html>0</a><a href=folder1/page1.html>1</a><a href=folder2/page2.html>2</a>");
        RunningProgram server = world.Server.Serve(8000, "/usr/bin/python3", "-m", "http.server", "8000", "--bind", "::", "--directory", "www");
        world.Client.Shows("wget -q -r -np -P mirror http://$SERVER:8000/; echo $?; (cd mirror/*; rm -f robots.txt*; find . -type f | LC_ALL=C sort | xargs sha256sum)");
        world.Client.Shows("head -c 3000000 www/big.bin > big.bin; wget -q -c http://[$SERVER6]:8000/big.bin; wget -q -O - http://$SERVER:8000/big.bin | cmp - www/big.bin && echo same");
        world.Outside.Shows("wget -q -S -O /dev/null http://$SERVER:8000/none 2>&1 | grep -v Date; wget -q -t 1 -O /dev/null http://$SERVER:8001/; echo $?");
        world.Client.Shows("wget -t 1 -O /dev/null http://$SERVER:8001/ 2>&1 | sed 's/^--.*--//'");
        server.Stop(Signals.Interrupt);
    });
}
